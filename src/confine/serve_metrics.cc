#include "confine/serve_metrics.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "sys/deadline.h"
#include "sys/threads.h"

namespace pare::confine {

namespace {

constexpr const char* kCounter = "counter";
constexpr const char* kGauge = "gauge";

// The text exposition format: each family's help and type once, then its samples.
class Families {
 public:
  void add(const std::string& name, const std::string& help, const char* type, uint64_t value,
           const std::string& label = "", const std::string& label_value = "") {
    if (name != last_) text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
    last_ = name;
    std::string labels =
        label.empty() ? "" : fmt::format("{{{}=\"{}\"}}", label, escaped(label_value));
    text_ += fmt::format("{}{} {}\n", name, labels, value);
  }
  std::string text() const { return text_; }

 private:
  static std::string escaped(const std::string& value) {
    std::string out;
    for (char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      out += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return out;
  }
  std::string text_, last_;
};

struct GateRow {
  const char* name;
  const char* help;
  const char* type;
  uint64_t Counters::*value;
};
constexpr std::array<GateRow, 8> kGateRows = {{
    {"pare_gate_connections_total", "connections accepted", kCounter, &Counters::accepted},
    {"pare_gate_open_connections", "connections open", kGauge, &Counters::open},
    {"pare_gate_refused_total", "connections that the server did not take", kCounter,
     &Counters::refused},
    {"pare_gate_idle_closed_total", "connections closed for idleness", kCounter,
     &Counters::idle_closed},
    {"pare_gate_received_bytes_total", "bytes from clients", kCounter, &Counters::bytes_in},
    {"pare_gate_sent_bytes_total", "bytes to clients", kCounter, &Counters::bytes_out},
    {"pare_gate_requests_total", "requests, where paths are looked at", kCounter,
     &Counters::requests},
    {"pare_gate_denied_requests_total", "requests for paths that are not let through", kCounter,
     &Counters::denied},
}};

}  // namespace

std::string metrics_text(const Snapshot& s) {
  Families families;
  families.add("pare_up", "the server is ready", kGauge, s.up ? 1 : 0);
  families.add("pare_sealed", "the server is sealed", kGauge, s.sealed ? 1 : 0);
  families.add("pare_restarts_total", "starts after the first", kCounter, s.restarts);
  families.add("pare_health_failures_total", "health checks that failed", kCounter,
               s.health_failures);
  for (const GateRow& row : kGateRows) {
    for (const auto& [where, counters] : s.gates) {
      families.add(row.name, row.help, row.type, counters.*row.value, "gate", where);
    }
  }
  for (const auto& [call, n] : s.denials) {
    families.add("pare_denied_calls_total", "calls that the seal refused", kCounter, n, "call",
                 call);
  }
  families.add("pare_log_lines_total", "lines of the server's output", kCounter, s.log.lines);
  families.add("pare_log_bytes_total", "bytes of the server's output", kCounter, s.log.bytes);
  families.add("pare_log_folded_lines_total", "repeated lines that were folded", kCounter,
               s.log.folded);
  families.add("pare_log_dropped_lines_total", "lines beyond the rate limit", kCounter,
               s.log.dropped);
  return families.text();
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(UniqueFd socket,
                                                           std::function<Snapshot()> snapshot) {
  PARE_CHECK_OK(listen_on(socket));
  std::unique_ptr<MetricsServer> server(new MetricsServer(std::move(socket), std::move(snapshot)));
  PARE_TRY(server->thread_, sys::start_thread([s = server.get()] { s->run(); }));
  return server;
}

MetricsServer::~MetricsServer() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void MetricsServer::run() {
  while (!stop_) {
    pollfd wait{socket_.get(), POLLIN, 0};
    if (poll(&wait, 1, 200) <= 0) continue;
    UniqueFd client(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.valid()) answer(client.get());
  }
}

// One short request after another: a scraper comes every few seconds.
void MetricsServer::answer(int client) const {
  timeval patience{2, 0};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string request;
  std::array<char, 2048> buffer{};
  sys::Deadline deadline(std::chrono::seconds(2));  // also for who sends a byte a second
  while (request.find("\r\n\r\n") == std::string::npos && request.size() < 16384) {
    if (stop_ || deadline.passed()) return;
    ssize_t n = recv(client, buffer.data(), buffer.size(), 0);
    if (n <= 0) return;
    request.append(buffer.data(), static_cast<size_t>(n));
  }
  bool asked = request.rfind("GET /metrics ", 0) == 0;
  std::string body = asked ? metrics_text(snapshot_()) : "only GET /metrics is here\n";
  std::string reply = std::string("HTTP/1.1 ") + (asked ? "200 OK" : "404 Not Found") +
                      "\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: "
                      "close\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body;
  (void)send(client, reply.data(), reply.size(), MSG_NOSIGNAL);
}

}  // namespace pare::confine
