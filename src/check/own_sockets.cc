#include "check/own_sockets.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"

namespace pare::check {
namespace {

namespace fs = std::filesystem;

// "PID (name) S PPID ...": the name may hold blanks and parentheses.
int parent_of(const std::string& process) {
  auto stat = base::read_file("/proc/" + process + "/stat");
  if (!stat) return 0;
  size_t end = stat->rfind(')');
  if (end == std::string::npos) return 0;
  auto fields = base::split(std::string_view(*stat).substr(end + 1), ' ');
  auto parent = fields.size() > 2 ? base::parse_u64(fields[2]) : std::nullopt;
  return parent ? static_cast<int>(*parent) : 0;
}

std::set<int> family_of(int pid) {
  std::map<int, std::vector<int>> children;
  std::error_code ignored;
  for (fs::directory_iterator it("/proc", ignored), end; it != end; it.increment(ignored)) {
    std::string name = it->path().filename();
    if (auto process = base::parse_u64(name)) {
      children[parent_of(name)].push_back(static_cast<int>(*process));
    }
  }
  std::set<int> family;
  std::vector<int> next = {pid};
  while (!next.empty()) {
    int one = next.back();
    next.pop_back();
    if (!family.insert(one).second) continue;
    next.insert(next.end(), children[one].begin(), children[one].end());
  }
  return family;
}

}  // namespace

std::set<uint64_t> socket_inodes_of(int pid) {
  std::set<uint64_t> inodes;
  for (int process : family_of(pid)) {
    std::error_code ignored;
    fs::directory_iterator it("/proc/" + std::to_string(process) + "/fd", ignored);
    for (fs::directory_iterator end; it != end; it.increment(ignored)) {
      std::string target = fs::read_symlink(it->path(), ignored).string();
      std::string_view text = target;  // "socket:[4711]"
      if (!base::starts_with(text, "socket:[") || !base::ends_with(text, "]")) continue;
      text.remove_prefix(8);
      text.remove_suffix(1);
      if (auto inode = base::parse_u64(text)) inodes.insert(*inode);
    }
  }
  return inodes;
}

}  // namespace pare::check
