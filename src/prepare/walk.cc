#include "prepare/walk.h"

#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/file.h"

namespace pare::prepare {

std::string Node::path() const {
  return parent ? parent->path_of(name) : ".";
}

std::string Node::path_of(const std::string& entry) const {
  return parent ? path() + "/" + entry : entry;
}

namespace {

// A directory to be opened, or some entries of one that is open.
struct Job {
  std::shared_ptr<Node> node;
  std::string directory;  // set: open it; `node` is then its parent, null for the volume
  std::vector<std::pair<std::string, unsigned char>> entries;
};

class Walk {
 public:
  Walk(const Volume& volume, size_t batch, const Visitor& visitor, std::atomic<uint64_t>& progress)
      : volume_(volume), batch_(batch), visitor_(visitor), progress_(progress) {}

  WalkResult run(unsigned threads) {
    push({nullptr, ".", {}});
    std::vector<std::thread> workers;
    for (unsigned i = 1; i < threads; ++i) workers.emplace_back([this] { work(); });
    work();
    for (std::thread& worker : workers) worker.join();
    return std::move(result_);
  }

 private:
  void push(Job job) {
    {
      std::lock_guard guard(mutex_);
      jobs_.push_back(std::move(job));
      ++open_;
    }
    wake_.notify_one();
  }

  // The latest first: what is open at once is bounded by depth, not by breadth.
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return !jobs_.empty() || open_ == 0; });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.back());
      jobs_.pop_back();
      lock.unlock();
      do_job(job);
      job = {};
      lock.lock();
      if (--open_ == 0) wake_.notify_all();
    }
  }

  void do_job(Job& job) {
    if (!job.directory.empty()) return enter(job.node, job.directory);
    count(job.entries.size());
    for (const auto& [name, type] : job.entries) {
      const Node& node = *job.node;
      note(visitor_.entry(node, name, type), [&, &leaf = name] { return node.path_of(leaf); });
    }
  }

  // Shared by the jobs of its entries; the last of them to end visits the directory.
  std::shared_ptr<Node> make_node(const std::shared_ptr<Node>& parent, const std::string& name,
                                  UniqueFd fd) {
    return {new Node{parent, name, std::move(fd)}, [this](Node* node) {
              if (visitor_.directory) {
                count(1);
                note(visitor_.directory(*node), [&] { return node->path(); });
              }
              delete node;
            }};
  }

  void enter(const std::shared_ptr<Node>& parent, const std::string& name) {
    int at = parent ? parent->fd.get() : volume_.fd();
    auto fd = volume_.open_at(at, name, O_RDONLY | O_DIRECTORY);
    if (!fd) {
      count(1);
      return note(tl::unexpected(fd.error()),
                  [&] { return parent ? parent->path_of(name) : name; });
    }
    auto node = make_node(parent, name, std::move(*fd));
    // fdopendir(3) takes its descriptor over.
    int copy = fcntl(node->fd.get(), F_DUPFD_CLOEXEC, 3);
    std::unique_ptr<DIR, int (*)(DIR*)> stream(copy < 0 ? nullptr : fdopendir(copy), closedir);
    if (!stream) return note(fail_errno("cannot read", errno), [&] { return node->path(); });
    std::vector<std::pair<std::string, unsigned char>> entries;
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
      std::string_view child = entry->d_name;
      if (child == "." || child == "..") continue;
      unsigned char type =
          entry->d_type == DT_UNKNOWN ? type_of(*node, entry->d_name) : entry->d_type;
      if (type == DT_DIR) {
        push({node, std::string(child), {}});
      } else {
        entries.emplace_back(child, type);
      }
      if (entries.size() >= batch_) push({node, "", std::exchange(entries, {})});
      errno = 0;
    }
    if (errno != 0) note(fail_errno("cannot read", errno), [&] { return node->path(); });
    if (!entries.empty()) push({node, "", std::move(entries)});
  }

  static unsigned char type_of(const Node& node, const char* name) {
    auto st = look(node.fd.get(), name);
    return st ? IFTODT(st->stx_mode) : static_cast<unsigned char>(DT_UNKNOWN);
  }

  // Together: threads that count each entry by itself wait for each other.
  void count(size_t entries) {
    progress_.fetch_add(entries, std::memory_order_relaxed);
    entries_.fetch_add(entries, std::memory_order_relaxed);
  }

  // `path_of` is asked where there is an error alone.
  template <typename PathOf>
  void note(const Status& status, PathOf path_of) {
    if (status) return;
    std::string path = path_of();
    std::lock_guard guard(result_mutex_);
    if (status.error().sys_errno == ENOENT) {
      ++result_.vanished;
      return;
    }
    ++result_.refused;
    if (result_.reasons.size() >= WalkResult::kKept) return;
    // The name in the message is that in its directory; people want the way to it.
    const std::string& message = status.error().message;
    std::string leaf = path.substr(path.rfind('/') + 1);
    bool whole = message.compare(0, path.size(), path) == 0;
    bool named = message.compare(0, leaf.size(), leaf) == 0;
    result_.reasons.push_back(whole   ? message
                              : named ? path + message.substr(leaf.size())
                                      : path + ": " + message);
  }

  const Volume& volume_;
  size_t batch_;
  const Visitor& visitor_;
  std::atomic<uint64_t>& progress_;
  std::atomic<uint64_t> entries_{0};
  std::mutex mutex_, result_mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  size_t open_ = 0;  // jobs that are queued or being done
  WalkResult result_;

 public:
  uint64_t entries() const { return entries_; }
};

}  // namespace

Result<WalkResult> walk(const Volume& volume, unsigned threads, size_t batch,
                        const Visitor& visitor, std::atomic<uint64_t>& progress) {
  base::raise_descriptor_limit();  // a deep tree holds one a level
  Walk walk(volume, batch, visitor, progress);
  WalkResult result = walk.run(std::max(threads, 1U));
  result.entries = walk.entries();
  return result;
}

unsigned default_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return static_cast<unsigned>(std::clamp(count, 1, 8));
}

}  // namespace pare::prepare
