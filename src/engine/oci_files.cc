#include "engine/oci_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "sys/path.h"

namespace pare::engine {

namespace {

// As Docker writes it; the last line lets a server look up its own name. 192.0.2.1 is the address
// that checks add to the container's `lo`.
std::string container_hosts(const std::string& hostname) {
  return "127.0.0.1\tlocalhost\n"
         "::1\tlocalhost ip6-localhost ip6-loopback\n"
         "fe00::0\tip6-localnet\n"
         "ff00::0\tip6-mcastprefix\n"
         "ff02::1\tip6-allnodes\n"
         "ff02::2\tip6-allrouters\n"
         "192.0.2.1\t" +
         hostname + "\n";
}

// The resolv.conf of a named namespace, where ip-netns(8) keeps one, else the host's.
std::string resolv_conf_for(const CreateOptions& options) {
  size_t slash = options.netns.rfind('/');
  if (slash != std::string::npos) {
    auto own = base::read_file("/etc/netns" + options.netns.substr(slash) + "/resolv.conf");
    if (own) return *own;
  }
  return container_resolv_conf(base::read_file("/etc/resolv.conf").value_or(""));
}

}  // namespace

Status write_quickly(const std::string& path, std::string_view text, unsigned mode) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  // fchmod: whatever pare's umask is.
  if (!fd.valid() || fchmod(fd.get(), mode) != 0) {
    return fail_errno("cannot create " + path, errno);
  }
  return base::write_all(fd.get(), text, path);
}

std::string container_resolv_conf(const std::string& host) {
  std::string out;
  bool any = false;
  for (const std::string& line : base::split(host, '\n')) {
    std::string_view text = base::trim(line);
    if (text.empty() || text[0] == '#' || text[0] == ';') continue;
    if (base::starts_with(text, "nameserver")) {
      std::string_view address = base::trim(text.substr(10));
      if (base::starts_with(address, "127.") || address == "::1") continue;
      any = true;
    }
    out += std::string(text) + "\n";
  }
  return any ? out : out + "nameserver 192.0.2.53\n";
}

Result<std::vector<ProvidedFile>> provide_files(const std::string& directory,
                                                const target::Target& target,
                                                const privilege::Policy& policy,
                                                const CreateOptions& options) {
  bool host = options.host_network || shares_host(policy, "network");
  std::string hostname = effective_hostname(target);
  std::vector<std::pair<std::string, std::string>> contents;
  if (host && options.netns.empty()) {
    contents = {{"hosts", base::read_file("/etc/hosts").value_or(container_hosts(hostname))},
                {"resolv.conf", base::read_file("/etc/resolv.conf").value_or("")}};
  } else {
    contents = {{"hosts", container_hosts(hostname)}, {"resolv.conf", resolv_conf_for(options)}};
  }
  for (const auto& [name, address] : options.hosts) {
    contents.front().second += address + "\t" + name + "\n";
  }
  contents.emplace_back("hostname", hostname + "\n");
  std::vector<ProvidedFile> files;
  for (const auto& [name, text] : contents) {
    std::string source = sys::join_path(directory, name);
    PARE_CHECK_OK(write_quickly(source, text, 0644));
    files.push_back({source, "/etc/" + name});
  }
  return files;
}

}  // namespace pare::engine
