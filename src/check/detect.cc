// Which checks would prove the core function of a server that nobody described.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/text.h"
#include "check/attempts.h"
#include "check/identify.h"
#include "check/kserve.h"
#include "check/spec_parts.h"

namespace pare::check {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Dynamic batching breaks on its own: ask for several at once where the server takes it.
constexpr int kBatch = 4;

struct Found {
  std::vector<Spec> specs;
  bool loading = false;  // a port answered, but not yet as it will
};

// The checks worth trying for what a port speaks, best first; {} is the port. The first that passes
// is taken. Each is text that a user could have written.
struct Offer {
  const char* speaks;
  const char* text;
};
constexpr Offer kOffers[] = {
    {"openai", "openai://:{}"},
    {"openai", "openai-embeddings://:{}"},
    {"kserve", "http://:{}/v2;name=kserve"},
    {"ollama", "http://:{}/api/tags;name=ollama"},
    {"tgi",
     "http://:{}/generate;body={\"inputs\":\"Once upon a "
     "time\",\"parameters\":{\"max_new_tokens\":16}};match=\"generated_text\"\\s*:\\s*\"[^\"]"},
    {"tei", "http://:{}/embed;body={\"inputs\":\"Once upon a time\"};match=\\d"},
    {"grpc", "grpc-health://:{}"},
    {"http", "http://:{}/health"},
    {"http", "http://:{}/healthz"},
    {"http", "http://:{}/v1/health/ready"},
    {"http", "http://:{}/health/ready"},
    {"http", "http://:{}/ready"},
    {"http", "http://:{}/ping"},
    {"http", "http://:{}/"},
};

std::string at_port(std::string text, uint16_t port) {
  size_t mark = text.find("{}");
  return text.replace(mark, 2, std::to_string(port));
}

class Detector {
 public:
  explicit Detector(Bench& bench) : bench_(bench) {}

  Result<Found> run(const std::vector<uint16_t>& ports) {
    for (uint16_t port : ports) PARE_CHECK_OK(look_at(port));
    PARE_CHECK_OK(name_specs(found_.specs));
    // Each text alone must give the same name again.
    for (Spec& spec : found_.specs) {
      PARE_TRY(Spec alone, parse_spec(spec.text));
      if (alone.name != spec.name) spec.text += ";name=" + spec.name;
    }
    return std::move(found_);
  }

 private:
  Status look_at(uint16_t port) {
    PARE_TRY(Identity identity, identify(bench_.subject(), port));
    if (identity.loading) found_.loading = true;
    if (identity.loading) return {};
    const std::string tls = identity.tls ? ";tls" : "";
    if (identity.speaks == "kserve") {
      PARE_TRY(bool taken, take_models(port, tls));
      if (taken) return {};
    }
    for (const Offer& offer : kOffers) {
      if (identity.speaks != offer.speaks) continue;
      PARE_TRY(bool taken, take(at_port(offer.text, port) + tls));
      if (taken) return {};
    }
    return {};
  }

  // A check for each model that answers zeros; while the server says that it is not ready, none.
  Result<bool> take_models(uint16_t port, const std::string& tls) {
    PARE_TRY(Spec ready,
             parse_unnamed(fmt::format("http://:{}/v2/health/ready;allow-empty{}", port, tls)));
    PARE_TRY(auto answer, bench_.attempt(ready, 1));
    if (!answer.front().pass) {
      found_.loading = true;
      return true;
    }
    PARE_TRY(auto models, bench_.inside([&] { return kserve_models(ready, bench_.subject()); }));
    bool any = false;
    for (const std::string& model : models) {
      if (model.find_first_of(";?# ") != std::string::npos) continue;  // no spec could name it
      PARE_TRY(bool taken, take(fmt::format("kserve://:{}/{}{}", port, model, tls)));
      any = any || taken;
    }
    return any;
  }

  // True when the check passes now, or will when the server has loaded.
  Result<bool> take(const std::string& text) {
    PARE_TRY(Spec spec, parse_unnamed(text));
    PARE_TRY(auto attempts, bench_.attempt(spec, 1));
    const Attempt& attempt = attempts.front();
    if (!attempt.pass && attempt.why.find("HTTP 503") != std::string::npos) {
      found_.loading = true;
      return true;
    }
    if (!attempt.pass) return false;
    found_.specs.push_back(spec);
    if (spec.kind == "http" && spec.body.empty()) return true;  // no inference
    PARE_TRY(Spec batch, parse_unnamed(fmt::format("{};batch={}", text, kBatch)));
    PARE_TRY(auto at_once, bench_.attempt(batch, kBatch));
    bool all = std::all_of(at_once.begin(), at_once.end(), [](const Attempt& a) { return a.pass; });
    if (all) found_.specs.push_back(std::move(batch));
    return true;
  }

  Bench& bench_;
  Found found_;
};

Result<Found> detect_now(Bench& bench) {
  const Subject& subject = bench.subject();
  PARE_TRY(std::vector<uint16_t> ports, listening_ports(subject));
  if (!subject.reachable.empty()) {
    std::erase_if(ports, [&](uint16_t port) {
      return std::find(subject.reachable.begin(), subject.reachable.end(), port) ==
             subject.reachable.end();
    });
  }
  return Detector(bench).run(ports);
}

}  // namespace

Result<std::vector<Spec>> detect(const Subject& subject) {
  PARE_TRY(Bench bench, Bench::open(subject));
  PARE_TRY(Found found, detect_now(bench));
  return std::move(found.specs);
}

Result<std::vector<Spec>> detect_when_ready(const Subject& subject, milliseconds limit,
                                            const std::function<bool()>& still_alive) {
  auto start = Clock::now();
  auto bench = Bench::open(subject);
  if (!bench && container_gone(bench.error())) return std::vector<Spec>{};
  if (!bench) return tl::unexpected(bench.error());
  bool settled = false;
  while (true) {
    auto found = detect_now(*bench);
    if (!found && container_gone(found.error())) return std::vector<Spec>{};
    if (!found) return tl::unexpected(found.error());
    auto waited = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    bool some = !found->specs.empty() && !found->loading;
    bool over = waited >= limit || (still_alive && !still_alive());
    if (over || (some && settled)) return std::move(found->specs);
    // Other ports of the same server open a little later: once more, before it is settled.
    settled = some;
    milliseconds pause = some ? milliseconds(500) : milliseconds(25);
    std::this_thread::sleep_for(std::max(pause, std::min(waited / 20, milliseconds(250))));
  }
}

}  // namespace pare::check
