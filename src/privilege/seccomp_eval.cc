#include "privilege/seccomp_eval.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/json.h"
#include "base/unique_fd.h"

namespace pare::privilege {

using base::Json;

namespace {

struct ReleaseContext {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseContext>;

constexpr std::array<std::pair<std::string_view, scmp_compare>, 7> kOperators = {{
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
}};

constexpr std::array<std::pair<std::string_view, uint32_t>, 3> kArchitectures = {{
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
}};

template <typename Table>
auto find(const Table& table, const std::string& name)
    -> Result<typename Table::value_type::second_type> {
  for (const auto& [known, value] : table) {
    if (known == name) return value;
  }
  return fail(ErrorKind::kUnread, "seccomp profile: '" + name + "' is not known");
}

Result<uint32_t> action(const std::string& name, int error) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(static_cast<uint32_t>(error));
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return fail(ErrorKind::kUnread, "seccomp profile: action '" + name + "' is not known");
}

Result<std::vector<scmp_arg_cmp>> comparisons(const Json& rule) {
  std::vector<scmp_arg_cmp> out;
  for (const Json& arg : rule.value("args", Json::array())) {
    PARE_TRY(scmp_compare op, find(kOperators, arg.at("op").get<std::string>()));
    out.push_back({arg.at("index").get<unsigned>(), op, arg.at("value").get<uint64_t>(),
                   arg.value("valueTwo", uint64_t{0})});
  }
  return out;
}

Status add_rule(scmp_filter_ctx context, const Json& rule, uint32_t default_action) {
  PARE_TRY(uint32_t act,
           action(rule.at("action"), rule.contains("errnoRet") ? rule["errnoRet"].get<int>() : 1));
  if (act == default_action) return {};  // libseccomp refuses such rules; runc skips them
  PARE_TRY(std::vector<scmp_arg_cmp> args, comparisons(rule));
  for (const std::string& name : rule.at("names").get<std::vector<std::string>>()) {
    int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    int error = seccomp_rule_add_array(context, act, number, static_cast<unsigned>(args.size()),
                                       args.data());
    if (error != 0) return fail_errno("seccomp profile: cannot add a rule for " + name, -error);
  }
  return {};
}

Result<std::vector<sock_filter>> program_of(scmp_filter_ctx context) {
  UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return fail_errno("cannot create a memory file", errno);
  if (int error = seccomp_export_bpf(context, file.get()); error != 0) {
    return fail_errno("seccomp profile does not compile", -error);
  }
  off_t size = lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<size_t>(size) / sizeof(sock_filter));
  if (pread(file.get(), program.data(), static_cast<size_t>(size), 0) != size) {
    return fail_errno("cannot read the compiled seccomp profile", errno);
  }
  return program;
}

Result<std::vector<sock_filter>> compile_program(const Json& profile) {
  PARE_TRY(uint32_t default_action,
           action(profile.at("defaultAction"),
                  profile.contains("defaultErrnoRet") ? profile["defaultErrnoRet"].get<int>() : 1));
  Context context(seccomp_init(default_action));
  if (!context) return fail(ErrorKind::kHost, "libseccomp cannot make a filter");
  for (const Json& name : profile.value("architectures", Json::array())) {
    PARE_TRY(uint32_t arch, find(kArchitectures, name.get<std::string>()));
    if (int error = seccomp_arch_add(context.get(), arch); error != 0 && error != -EEXIST) {
      return fail_errno("seccomp profile: cannot add " + name.get<std::string>(), -error);
    }
  }
  for (const Json& rule : profile.at("syscalls")) {
    PARE_CHECK_OK(add_rule(context.get(), rule, default_action));
  }
  return program_of(context.get());
}

uint32_t load(const seccomp_data& data, uint32_t offset) {
  uint32_t word = 0;
  std::memcpy(&word, reinterpret_cast<const char*>(&data) + offset, sizeof word);
  return word;
}

bool jump_taken(uint16_t code, uint32_t a, uint32_t k) {
  switch (BPF_OP(code)) {
    case BPF_JEQ:
      return a == k;
    case BPF_JGT:
      return a > k;
    case BPF_JGE:
      return a >= k;
    case BPF_JSET:
      return (a & k) != 0;
    default:
      return true;  // BPF_JA is handled by the caller
  }
}

// The instructions that seccomp accepts and libseccomp emits (seccomp(2), "BPF"); others kill.
uint32_t interpret(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& in = program[pc];
    switch (BPF_CLASS(in.code)) {
      case BPF_LD:
        if (in.code != (BPF_LD | BPF_W | BPF_ABS) || in.k + 4 > sizeof data) {
          return SECCOMP_RET_KILL_PROCESS;
        }
        a = load(data, in.k);
        break;
      case BPF_ALU:
        if (in.code != (BPF_ALU | BPF_AND | BPF_K)) return SECCOMP_RET_KILL_PROCESS;
        a &= in.k;
        break;
      case BPF_JMP:
        if (BPF_OP(in.code) == BPF_JA) {
          pc += in.k;
        } else {
          pc += jump_taken(in.code, a, in.k) ? in.jt : in.jf;
        }
        break;
      case BPF_RET:
        return in.k;
      default:
        return SECCOMP_RET_KILL_PROCESS;
    }
  }
  return SECCOMP_RET_KILL_PROCESS;
}

}  // namespace

Result<SeccompFilter> SeccompFilter::compile(const Json& profile) {
  PARE_TRY(auto compiled,
           base::read_json("seccomp profile", [&] { return compile_program(profile); }));
  PARE_TRY(std::vector<sock_filter> program, std::move(compiled));
  return SeccompFilter(std::move(program));
}

SeccompDecision SeccompFilter::evaluate(int number, const std::array<uint64_t, 6>& arguments,
                                        uint32_t arch) const {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  for (size_t i = 0; i < arguments.size(); ++i) data.args[i] = arguments[i];
  uint32_t result = interpret(program_, data);
  switch (result & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return {SeccompDecision::Kind::kAllow, 0};
    case SECCOMP_RET_ERRNO:
      return {SeccompDecision::Kind::kErrno, static_cast<int>(result & SECCOMP_RET_DATA)};
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_KILL_PROCESS:
      return {SeccompDecision::Kind::kKill, 0};
    default:
      return {SeccompDecision::Kind::kOther, 0};
  }
}

SeccompDecision SeccompFilter::evaluate(const std::string& name,
                                        const std::array<uint64_t, 6>& arguments) const {
  int number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.c_str());
  if (number == __NR_SCMP_ERROR) return {};
  return evaluate(number, arguments);
}

}  // namespace pare::privilege
