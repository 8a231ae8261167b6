// What was tried, out of the kernel's tables.
#include <iterator>

#include "confine/egress_kernel.h"
#include "record/dns.h"

namespace pare::confine {

namespace {

void fill(Tried& tried, const pare_egress_tries& tries) {
  tried.count = tries.count;
  tried.bytes = tries.bytes;
  tried.last_ns = tries.last_ns;
  const size_t kept = std::min<size_t>(tries.count, PARE_EGRESS_TIMES);
  tried.times_ns.assign(tries.times, tries.times + kept);
  std::sort(tried.times_ns.begin(), tried.times_ns.end());
  tried.exe = text_of(tries.exe);
  tried.comm = text_of(tries.comm);
}

// Takes all entries out of a hash map, a row at a time, so that what is counted meanwhile stays.
template <typename Key, typename Value, typename F>
void take_all(bpf_map* map, F&& visit) {
  const int fd = bpf_map__fd(map);
  std::vector<Key> keys;
  Key key = {};
  for (void* last = nullptr; bpf_map_get_next_key(fd, last, &key) == 0; last = &keys.back())
    keys.push_back(key);
  Value value = {};
  for (const Key& each : keys)
    if (bpf_map_lookup_and_delete_elem(fd, &each, &value) == 0) visit(each, value);
}

}  // namespace

std::vector<std::string> KernelWindow::names_of(const Address& address) const {
  std::vector<std::string> found;
  pare_egress_answer_key key = {};
  std::copy(address.begin(), address.end(), key.address);
  uint64_t until = 0;
  for (const auto& [name, id] : names_) {
    key.name = id;
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.answers), &key, &until) == 0)
      found.push_back(name);
  }
  // A refused private address is no answer of a rule, but it has a name all the same.
  uint32_t id = 0;
  if (found.empty() &&
      bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.rebound), address.data(), &id) == 0)
    for (const auto& [name, known] : names_)
      if (known == id) found.push_back(name);
  return found;
}

int KernelWindow::take_opening(void* self, void* data, size_t size) {
  if (size < sizeof(pare_egress_opening)) return 0;
  const auto* opening = static_cast<const pare_egress_opening*>(data);
  static_cast<KernelWindow*>(self)->openings_.push_back(
      {address_of(opening->address), static_cast<pare_egress_opening_kind>(opening->kind),
       std::string(reinterpret_cast<const char*>(opening->bytes),
                   std::min<size_t>(opening->size, sizeof(opening->bytes)))});
  return 0;
}

Look KernelWindow::look() {
  Look look;
  ring_buffer__consume(ring_.get());
  look.openings.swap(openings_);
  take_all<pare_egress_key, pare_egress_tries>(
      skeleton_->maps.tries, [&](const auto& key, const auto& tries) {
        Attempt attempt;
        fill(attempt, tries);
        attempt.address = address_of(key.address);
        attempt.port = key.port;
        attempt.protocol = key.protocol;
        attempt.verdict = static_cast<pare_egress_verdict>(key.verdict);
        attempt.names = names_of(attempt.address);
        look.attempts.push_back(std::move(attempt));
      });
  take_all<pare_egress_question_key, pare_egress_tries>(
      skeleton_->maps.questions, [&](const auto& key, const auto& tries) {
        Question question;
        fill(question, tries);
        question.name = name_text(key.name);
        question.type = record::dns_type_name(key.type);
        question.resolver = address_of(key.resolver);
        question.allowed = key.verdict == PARE_EGRESS_ALLOWED;
        look.questions.push_back(std::move(question));
      });
  return look;
}

WindowTotals KernelWindow::totals() const {
  WindowTotals totals;
  const auto* globals = skeleton_->bss;
  std::copy_n(globals->totals, PARE_EGRESS_VERDICTS, totals.attempts);
  std::copy_n(globals->question_totals, PARE_EGRESS_VERDICTS, totals.questions);
  std::copy(std::begin(globals->losses), std::end(globals->losses), totals.losses);
  totals.dropped_packets = globals->dropped_packets;
  return totals;
}

}  // namespace pare::confine
