// What "it still works" means. Checks look at bodies, not only at status codes. Their sockets are
// made inside the container's network namespace and speak to a non-loopback address of it, so that
// a server that is bound to 127.0.0.1 alone does not pass.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "evidence/evidence.h"
#include "privilege/policy.h"

namespace pare::check {

// A parsed --check. One struct for all kinds; the kind's row (kind.h) decides which fields it
// reads.
struct Spec {
  std::string name;             // unique among the checks of a run
  std::string text;             // as the user wrote it (secrets masked)
  std::string kind;             // "http" "openai" "openai-embeddings" "kserve" "grpc-health" "exec"
  std::string scheme = "http";  // or "https": a certificate is not verified
  uint16_t port = 0;
  std::string path = "/";            // with the query
  std::string model;                 // openai: empty is the first that is listed; kserve: required
  std::string service;               // grpc-health; empty: the server as a whole
  bool stream = false;               // openai: the completion comes in chunks
  std::string method;                // empty: GET, or POST with a body
  std::string body;                  // literal, or the bytes of @FILE
  std::vector<std::string> headers;  // "Name: value"
  int expect = 0;                    // status; 0: any 2xx
  std::string match;                 // ECMAScript regex over the body
  bool allow_empty = false;          // an empty body is what this path answers
  int batch = 1;                     // requests at once, all must pass
  int repeat = 1;                    // in a row, all must pass
  std::chrono::milliseconds within{30'000};  // each request
  std::vector<std::string> argv;             // exec
  // The port is what a client outside the container uses (a pasted curl line, a URL with a host):
  // see to_container_ports.
  bool host_port = false;
};

// http://:8000/health;expect=200;match=REGEX, openai://:8000/MODEL, exec:CMD ARGS, or a pasted
// `curl ...` line; then modifiers, each after a ';' ("\;" is a semicolon in a value). kUsage names
// the part that is wrong.
Result<Spec> parse_spec(const std::string& text);

// All checks of a run, their names made unique ("openai", "openai-batch4", "infer", "infer-2").
// kUsage also when two `name=` are the same.
Result<std::vector<Spec>> parse_specs(const std::vector<std::string>& texts);

// The same from the list `checks:` of a file, where nothing needs escaping: each entry is a spec as
// above, or an object with `check` (such a spec) or `exec` (a list of words) and the modifiers as
// keys: {"check": "http://:8000/infer", "body": {"x": 1}, "header": {"X-A": "1"}, "tls": true}.
// kUsage names the entry.
Result<std::vector<Spec>> parse_checks(const nlohmann::json& checks);

// Turns the ports of specs with host_port into container ports by what the target publishes
// (pairs of host port and container port). A port that is not published stays as it is.
void to_container_ports(std::vector<Spec>& specs,
                        const std::vector<std::pair<uint16_t, uint16_t>>& published);

// Turns ports that the policy moved into those that it moved them to.
void to_moved_ports(std::vector<Spec>& specs, const std::vector<privilege::PortGrant>& ports);

// What a check may touch of the container that is checked.
struct Subject {
  int pid = 0;                           // its network namespace is /proc/PID/ns/net
  std::string address = "192.0.2.1";     // a non-loopback address of the container
  std::string address6 = "2001:db8::1";  // added and used only for a server that has no IPv4
  // Runs argv inside; the exit code.
  std::function<Result<int>(const std::vector<std::string>&, std::chrono::milliseconds)> exec;
  std::vector<uint16_t> reachable;  // ports that the policy admits; others are refused here
};

struct CheckResult {
  std::string name;
  bool pass = false;
  std::string why;  // of a failure, one clause without secrets
  double seconds = 0;
  std::string body;    // of the last response, at most 64 KiB
  std::string output;  // what was inferred, free of ids and times: for comparison between runs
  std::vector<double> latencies;  // seconds of each request that was made
};

// One attempt; a failure is a result, also when the container is gone. An Error is ours (no memory,
// no right to enter the namespace).
Result<CheckResult> run(const Spec& spec, const Subject& subject);

// Brings `lo` up inside the subject's network namespace and adds subject.address/32 to it
// (rtnetlink(7)). Idempotent. In the caller's own namespace (a host-network container) nothing is
// changed, and kHost unless the address is there already.
Status prepare_network(const Subject& subject);

// How refused egress fails inside the namespace: no route, "default dev lo", "local 0/0 dev lo".
// Prepares the network first. Idempotent; kHost in the caller's own namespace.
// With kRefused a connect to a foreign address at a port of the server reaches the server itself.
enum class Egress { kUnreachable, kDropped, kRefused };
Status set_refusal(const Subject& subject, Egress kind);

struct Listener {
  uint16_t port = 0;
  std::string address;    // "0.0.0.0", "::", "192.0.2.1"
  bool loopback = false;  // 127.0.0.0/8 or ::1
  bool operator==(const Listener&) const = default;
};
// TCP sockets that listen in the subject's namespace (proc(5), net/tcp and tcp6), by port. In the
// caller's own namespace (a host-network container) only those of the subject's processes.
Result<std::vector<Listener>> listeners(const Subject& subject);

// Ports of listeners() on a non-loopback address, ascending.
Result<std::vector<uint16_t>> listening_ports(const Subject& subject);

// What a port is, found by talking to it: a port number proves nothing.
struct Identity {
  // "openai" "kserve" "ollama" "tgi" "tei" "triton-admin" "prometheus" "http" "grpc" "tls" "silent"
  // "unknown"
  std::string speaks = "silent";
  std::string role = "unknown";  // "inference" | "metrics" | "admin" | "unknown"
  bool tls = false;              // what it speaks, it speaks inside TLS
  bool loading = false;          // HTTP that answered 503: ask again
};
// kHost when the namespace cannot be entered; a port where nothing answers is "silent".
Result<Identity> identify(const Subject& subject, uint16_t port);

// Which paths known of inference servers (metrics, management) this port answers without
// credentials: each is asked for by a request that does nothing (target::ServerEndpoint). `tls`:
// inside TLS. A server that answers whatever it is asked is told by its answer to a path that
// nobody has. By path; empty where no HTTP is spoken. kHost as identify().
Result<std::vector<evidence::EndpointFact>> endpoints(const Subject& subject, uint16_t port,
                                                      bool tls);

// The family of target::servers() that the port's own words tell; empty: none. kHost as identify().
Result<std::string> server_family(const Subject& subject, uint16_t port, bool tls);

// Talks to the listening ports (those of subject.reachable, when it names any) and says which
// checks would prove the core function: an OpenAI or other known API gets its own check, an unknown
// HTTP server the best path that answered with a body. Empty when only bare TCP connects or metrics
// are possible, and while a server is still loading.
Result<std::vector<Spec>> detect(const Subject& subject);

struct Patience {
  std::chrono::milliseconds limit{600'000};  // from the call until every check has passed once
  // How long a server that answers may go on giving wrong answers (503 while it loads is one).
  // The caller takes it from the baseline's answering_seconds, so that a trial that broke the
  // server does not wait out the whole limit.
  std::chrono::milliseconds answering{600'000};
};

struct Ready : CheckResult {     // seconds: until every check had passed once
  double answering_seconds = 0;  // of these, since the first answer of any kind
  bool gone = false;  // its processes had ended, which a runtime may not have noticed yet
};

// Polls until each check has passed one light request (one inference, not the batch), the limit
// ends or still_alive() (may be empty) says that the container has ended. The pause between polls
// is a twentieth of the time that has passed, between 5 and 250 ms. Failure: pass is false, why
// says what was waited for.
Result<Ready> wait_ready(const std::vector<Spec>& specs, const Subject& subject,
                         const Patience& patience, const std::function<bool()>& still_alive);

// wait_ready for a target without checks: polls detect() until it names checks that pass, then once
// more when ports had time to appear. Empty when the limit ended or the container did.
Result<std::vector<Spec>> detect_when_ready(const Subject& subject, std::chrono::milliseconds limit,
                                            const std::function<bool()>& still_alive);

}  // namespace pare::check
