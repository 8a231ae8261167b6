// The window as the kernel keeps it: programs, maps and rows. For the window's own files alone.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "confine/egress_pins.h"
#include "confine/egress_window.h"
// Last: it names the types of egress_wire.h.
#include "confine/bpf/egress.skel.h"

namespace pare::confine {

using Skeleton = std::unique_ptr<egress_bpf, void (*)(egress_bpf*)>;
using Link = std::unique_ptr<bpf_link, int (*)(bpf_link*)>;

inline Address address_of(const uint8_t bytes[16]) {
  Address address;
  std::copy(bytes, bytes + 16, address.begin());
  return address;
}

template <size_t N>
std::string text_of(const char (&bytes)[N]) {
  return std::string(bytes, strnlen(bytes, N));
}

class KernelWindow final : public Window {
 public:
  explicit KernelWindow(Skeleton skeleton) : skeleton_(std::move(skeleton)) {}
  ~KernelWindow() override {
    if (pins_.empty())
      for (int ifindex : guards_) (void)remove_guard(ifindex, handle_);
  }

  Status start(const WindowOptions& options, UniqueFd lock, bool taken_over);
  Result<uint32_t> allow(const Exception& exception) override;
  Status revoke(uint32_t row) override;
  const std::map<uint32_t, ActiveException>& exceptions() override {
    drop_expired();
    return exceptions_;
  }
  Status set_resolvers(const std::vector<Address>& resolvers,
                       const std::vector<std::string>& search) override;
  Status set_own(const std::vector<Address>& own) override;
  Status guard(int ifindex) override;
  Look look() override;
  WindowTotals totals() const override;
  Status close() override;

 private:
  Status attach(const WindowOptions& options, int cgroup);
  Status adopt();
  Status set_scope(const WindowOptions& options);
  Status pin();
  Status attach_one(bpf_program* program, int cgroup);
  void drop_expired();
  bool in_use(const std::string& name) const;
  Status settle_name(const std::string& name);
  Status put_names();
  Status put_row(uint32_t row);
  Status replace_addresses(bpf_map* map, const std::vector<Address>& addresses);
  std::vector<std::string> names_of(const Address& address) const;
  static int take_opening(void* self, void* data, size_t size);

  Skeleton skeleton_;
  std::vector<Link> links_;
  std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_{nullptr, ring_buffer__free};
  std::string pins_;
  UniqueFd lock_;            // on pins_: somebody holds this window
  std::vector<int> guards_;  // interfaces
  uint32_t handle_ = 0;      // of the guards' filters
  std::map<uint32_t, ActiveException> exceptions_;
  std::map<std::string, uint32_t> names_;  // the low bit: private addresses are meant
  std::vector<std::string> search_;
  std::vector<Address> own_;
  uint32_t serial_ = 0;
  std::vector<Opening> openings_;
};

}  // namespace pare::confine
