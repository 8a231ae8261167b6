#include "record/uring.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <iterator>

namespace pare::record {
namespace {

constexpr const char* kNames[] = {"NOP",
                                  "READV",
                                  "WRITEV",
                                  "FSYNC",
                                  "READ_FIXED",
                                  "WRITE_FIXED",
                                  "POLL_ADD",
                                  "POLL_REMOVE",
                                  "SYNC_FILE_RANGE",
                                  "SENDMSG",
                                  "RECVMSG",
                                  "TIMEOUT",
                                  "TIMEOUT_REMOVE",
                                  "ACCEPT",
                                  "ASYNC_CANCEL",
                                  "LINK_TIMEOUT",
                                  "CONNECT",
                                  "FALLOCATE",
                                  "OPENAT",
                                  "CLOSE",
                                  "FILES_UPDATE",
                                  "STATX",
                                  "READ",
                                  "WRITE",
                                  "FADVISE",
                                  "MADVISE",
                                  "SEND",
                                  "RECV",
                                  "OPENAT2",
                                  "EPOLL_CTL",
                                  "SPLICE",
                                  "PROVIDE_BUFFERS",
                                  "REMOVE_BUFFERS",
                                  "TEE",
                                  "SHUTDOWN",
                                  "RENAMEAT",
                                  "UNLINKAT",
                                  "MKDIRAT",
                                  "SYMLINKAT",
                                  "LINKAT",
                                  "MSG_RING",
                                  "FSETXATTR",
                                  "SETXATTR",
                                  "FGETXATTR",
                                  "GETXATTR",
                                  "SOCKET",
                                  "URING_CMD",
                                  "SEND_ZC",
                                  "SENDMSG_ZC",
                                  "READ_MULTISHOT",
                                  "WAITID",
                                  "FUTEX_WAIT",
                                  "FUTEX_WAKE",
                                  "FUTEX_WAITV",
                                  "FIXED_FD_INSTALL",
                                  "FTRUNCATE",
                                  "BIND",
                                  "LISTEN",
                                  "RECV_ZC",
                                  "EPOLL_WAIT",
                                  "READV_FIXED",
                                  "WRITEV_FIXED",
                                  "PIPE"};

}  // namespace

std::string uring_name(int opcode) {
  if (opcode >= 0 && opcode < static_cast<int>(std::size(kNames))) return kNames[opcode];
  return fmt::format("opcode {}", opcode);
}

std::vector<std::string> uring_file_ops(int opcode, uint64_t open_flags) {
  const std::string name = uring_name(opcode);
  if (name == "OPENAT" || name == "OPENAT2") {
    std::vector<std::string> ops;
    if ((open_flags & O_CREAT) != 0) ops.emplace_back("create");
    if ((open_flags & O_ACCMODE) != O_RDONLY) ops.emplace_back("write");
    return ops;
  }
  if (name == "MKDIRAT") return {"mkdir"};
  if (name == "UNLINKAT") return {"unlink"};
  if (name == "RENAMEAT") return {"rename"};
  if (name == "SYMLINKAT") return {"symlink"};
  if (name == "LINKAT") return {"link"};
  return {};
}

}  // namespace pare::record
