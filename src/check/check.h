// What "it still works" means. Checks look at bodies, not only at status codes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pare::check {

// A parsed --check. One struct for all kinds; the kind's row decides which fields it reads.
struct Spec {
  std::string name;  // unique among the checks of a run
  std::string text;  // as the user wrote it (secrets masked)
  std::string kind;  // "http" | "openai" | "exec" | later kserve, grpc-health
  std::string scheme = "http";
  uint16_t port = 0;
  std::string path = "/";
  std::string method;  // empty: GET, or POST with a body
  std::string body;    // literal, or the bytes of @FILE
  std::vector<std::string> headers;
  int expect = 0;                            // status; 0: any 2xx
  std::string match;                         // ECMAScript regex over the body
  int batch = 1;                             // requests at once, all must pass
  int repeat = 1;                            // in a row, all must pass
  std::chrono::milliseconds within{30'000};  // each request
  std::vector<std::string> argv;             // exec
};

// DESIGN section 4: http://:8000/health;expect=200;match=..., openai://:8000, exec:CMD, a pasted
// "curl ..." line. kUsage names the part that is wrong.
Result<Spec> parse_spec(const std::string& text);

// What a check may touch of the container that is checked.
struct Subject {
  int pid = 0;                        // its network namespace is /proc/PID/ns/net
  std::string address = "192.0.2.1";  // a non-loopback address of the container
  // Runs argv inside; the exit code.
  std::function<Result<int>(const std::vector<std::string>&, std::chrono::milliseconds)> exec;
  std::vector<uint16_t> reachable;  // ports that the policy admits; others are refused here
};

struct CheckResult {
  std::string name;
  bool pass = false;
  std::string why;  // of a failure, one clause without secrets
  double seconds = 0;
  std::string body;  // of the last response, at most 64 KiB
};

// One attempt; a failure is a result. An Error is ours (no memory, no namespace).
Result<CheckResult> run(const Spec& spec, const Subject& subject);

// Brings `lo` up inside the subject's network namespace and adds subject.address/32 to it
// (rtnetlink(7)). Idempotent.
Status prepare_network(const Subject& subject);

// How refused egress fails inside the namespace: no route, "default dev lo", "local 0/0 dev lo".
enum class Egress { kUnreachable, kDropped, kRefused };
Status set_refusal(const Subject& subject, Egress kind);

// TCP ports that listen in the subject's namespace on a non-loopback address (proc(5), net/tcp*).
Result<std::vector<uint16_t>> listening_ports(const Subject& subject);

// Talks to the listening ports and says which checks would prove the core function: an OpenAI or
// other known API gets its own check, an unknown HTTP server the best path that answered with a
// body. Empty when only bare TCP connects are possible.
Result<std::vector<Spec>> detect(const Subject& subject);

}  // namespace pare::check
