#include "confine/egress_policy.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/text.h"

namespace pare::confine {

namespace {

constexpr const char* kLossNames[PARE_EGRESS_LOSSES] = {"attempts", "questions", "openings",
                                                        "answers", "sockets"};

// A name that Kubernetes takes (RFC 1123).
std::string label(const std::string& subject) {
  std::string text;
  for (char c : base::lower(subject)) text += isalnum(c) ? c : '-';
  if (text.size() > 40) text.resize(40);
  while (!text.empty() && text.back() == '-') text.pop_back();
  while (!text.empty() && text.front() == '-') text.erase(0, 1);
  return text.empty() ? "server" : text;
}

std::string ports_of(const Exception& exception, const std::string& indent) {
  if (exception.port == 0) return "";
  std::string text = indent + "ports:\n";
  for (const std::string& protocol : protocols_of(exception))
    text += fmt::format("{}  - {{port: {}, protocol: {}}}\n", indent, exception.port, protocol);
  return text;
}

std::string head(const WindowReport& report, const char* api, const char* kind) {
  return fmt::format(
      "# Learnt by `pare watch` from {} in {:.0f} s; {} of {} exceptions proved needed.\n"
      "apiVersion: {}\nkind: {}\nmetadata:\n  name: {}-egress\n",
      report.subject, report.seconds,
      std::count_if(report.learnt.begin(), report.learnt.end(),
                    [](const Learnt& learnt) { return learnt.need == Need::kNeeded; }),
      report.learnt.size(), api, kind, label(report.subject));
}

bool any_name(const WindowReport& report) {
  return std::any_of(report.learnt.begin(), report.learnt.end(),
                     [](const Learnt& learnt) { return !learnt.exception.name.empty(); });
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text)
    out += c == '\\' || c == '"' ? std::string{'\\', c} : c == '\n' ? "\\n" : std::string(1, c);
  return out;
}

}  // namespace

std::vector<std::string> protocols_of(const Exception& exception) {
  if (exception.protocol == IPPROTO_TCP) return {"TCP"};
  if (exception.protocol == IPPROTO_UDP) return {"UDP"};
  return {"TCP", "UDP"};
}

// The range as Kubernetes writes it.
std::string cidr(const Exception& exception) {
  Exception bare;
  bare.address = exception.address;
  bare.prefix = exception.prefix;
  std::string text = to_string(bare);
  text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == '[' || c == ']'; }),
             text.end());
  if (text.find('/') == std::string::npos)
    text += text.find(':') == std::string::npos ? "/32" : "/128";
  return text;
}

std::string comment(const Learnt& learnt, const std::string& indent) {
  return fmt::format("{}# {}: {}, used by {} ({} attempts){}{}\n", indent,
                     to_string(learnt.exception), to_string(learnt.need),
                     learnt.used_by.empty() ? "nobody" : base::join(learnt.used_by, ", "),
                     learnt.attempts, learnt.because.empty() ? "" : "; ", learnt.because);
}

bool covers(const Exception& exception, const Destination& destination) {
  if (exception.port != 0 && !destination.ports.empty() &&
      destination.ports.count(exception.port) == 0)
    return false;
  if (!exception.name.empty()) return destination.name == exception.name;
  return std::any_of(destination.addresses.begin(), destination.addresses.end(),
                     [&](const std::string& text) {
                       auto address = parse_address(text);
                       return address && lies_in(*address, exception);
                     });
}

std::string_view to_string(Need need) {
  switch (need) {
    case Need::kNeeded:
      return "needed";
    case Need::kTolerated:
      return "tolerated";
    case Need::kUnproven:
      return "unproven";
  }
  return "unproven";
}

size_t WindowReport::in_force() const {
  return static_cast<size_t>(std::count_if(learnt.begin(), learnt.end(),
                                           [](const Learnt& each) { return each.in_force; }));
}

uint64_t WindowReport::lost() const {
  return std::accumulate(std::begin(totals.losses), std::end(totals.losses), others);
}

nlohmann::json to_json(const WindowReport& report) {
  nlohmann::json json = {
      {"schema", "pare.egress/v1"},
      {"subject", report.subject},
      {"amends",
       report.proof_digest.empty() ? nlohmann::json(nullptr) : nlohmann::json(report.proof_digest)},
      {"refusal", report.refusal},
      {"sealed", report.sealed},
      {"notSealedBecause", report.not_sealed_because},
      {"seconds", report.seconds},
      {"attempts",
       {{"allowed", report.totals.attempts[PARE_EGRESS_ALLOWED]},
        {"denied", report.totals.attempts[PARE_EGRESS_DENIED]},
        {"rebound", report.totals.attempts[PARE_EGRESS_REBOUND]},
        {"packet", report.totals.attempts[PARE_EGRESS_PACKET]},
        {"unsent", report.totals.attempts[PARE_EGRESS_UNSENT]}}},
      {"questions",
       {{"allowed", report.totals.questions[PARE_EGRESS_ALLOWED]},
        {"denied", report.totals.questions[PARE_EGRESS_DENIED]}}},
      {"droppedPackets", report.totals.dropped_packets},
      {"exceptions", nlohmann::json::array()},
      {"destinations", nlohmann::json::array()},
      {"log", nullptr},
      {"loss", {{"others", report.others}}}};
  for (int i = 0; i < PARE_EGRESS_LOSSES; ++i)
    json["loss"][kLossNames[i]] = report.totals.losses[i];
  for (const Learnt& learnt : report.learnt)
    json["exceptions"].push_back({{"exception", to_string(learnt.exception)},
                                  {"name", learnt.exception.name},
                                  {"port", learnt.exception.port},
                                  {"usedBy", learnt.used_by},
                                  {"attempts", learnt.attempts},
                                  {"verdict", to_string(learnt.need)},
                                  {"because", learnt.because}});
  if (report.log.known) {
    json["log"] = {{"bytes", report.log.bytes},
                   {"bytesPerSecond", report.log.bytes_per_second},
                   {"repeated", nlohmann::json::array()}};
    for (const LogPicture::Line& line : report.log.repeated)
      json["log"]["repeated"].push_back({{"line", line.sample}, {"count", line.count}});
  }
  for (const Destination& destination : report.destinations)
    json["destinations"].push_back(to_json(destination, report.origin_ns));
  return json;
}

std::string rules_text(const WindowReport& report) {
  std::string text =
      fmt::format("# Exceptions of {}, for `pare watch --allow-file`.\n", report.subject);
  for (const Learnt& learnt : report.learnt)
    text += comment(learnt, "") + to_string(learnt.exception) + "\n";
  return text;
}

std::string network_policy(const WindowReport& report) {
  std::string text = head(report, "networking.k8s.io/v1", "NetworkPolicy");
  text += fmt::format(
      "spec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: \"{}\"\n"
      "  policyTypes: [Egress]\n",
      label(report.subject));
  std::string rules;
  for (const Learnt& learnt : report.learnt) {
    rules += comment(learnt, "    ");
    if (!learnt.exception.name.empty()) {
      rules +=
          "    # A NetworkPolicy knows no names: use the Cilium policy, or give its addresses.\n";
      continue;
    }
    rules += fmt::format("    - to:\n        - ipBlock: {{cidr: \"{}\"}}\n{}",
                         cidr(learnt.exception), ports_of(learnt.exception, "      "));
  }
  const bool any = std::any_of(report.learnt.begin(), report.learnt.end(),
                               [](const Learnt& learnt) { return learnt.exception.name.empty(); });
  return text + (any ? "  egress:\n" + rules : "  egress: []\n" + rules);
}

std::string cilium_policy(const WindowReport& report) {
  std::string text = head(report, "cilium.io/v2", "CiliumNetworkPolicy");
  text += fmt::format(
      "spec:\n  endpointSelector:\n    matchLabels:\n      app.kubernetes.io/name: \"{}\"\n",
      label(report.subject));
  // An empty rule selects the endpoint for egress and lets nothing out.
  if (report.learnt.empty()) return text + "  egress:\n    - {}\n";
  text += "  egress:\n";
  if (any_name(report)) {
    text +=
        "    - toEndpoints:\n        - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, "
        "k8s-app: kube-dns}\n      toPorts:\n        - ports: [{port: \"53\", protocol: ANY}]\n"
        "          rules:\n            dns:\n";
    for (const Learnt& learnt : report.learnt)
      if (!learnt.exception.name.empty())
        text += fmt::format("              - matchName: \"{}\"\n", learnt.exception.name);
  }
  for (const Learnt& learnt : report.learnt) {
    const Exception& exception = learnt.exception;
    text += comment(learnt, "    ");
    text += exception.name.empty()
                ? fmt::format("    - toCIDR: [\"{}\"]\n", cidr(exception))
                : fmt::format("    - toFQDNs: [{{matchName: \"{}\"}}]\n", exception.name);
    if (exception.port == 0) continue;
    text += "      toPorts:\n        - ports:\n";
    for (const std::string& protocol : protocols_of(exception))
      text +=
          fmt::format("            - {{port: \"{}\", protocol: {}}}\n", exception.port, protocol);
  }
  return text;
}

std::string metrics_text(const WindowReport& report) {
  const std::string subject = escaped(report.subject);
  std::string text =
      "# HELP pare_egress_attempts_total Outbound attempts by destination and verdict.\n"
      "# TYPE pare_egress_attempts_total counter\n";
  auto attempts = [&](const Destination& each, const char* verdict, uint64_t count) {
    if (count > 0)
      text += fmt::format(
          "pare_egress_attempts_total{{container=\"{}\",destination=\"{}\",verdict=\"{}\"}} {}\n",
          subject, escaped(each.name), verdict, count);
  };
  for (const Destination& each : report.destinations) {
    attempts(each, "allowed", each.allowed);
    attempts(each, "denied", each.denied_attempts());
    attempts(each, "question", each.questions_denied);
    attempts(each, "unsent", each.unsent);
  }
  text +=
      "# HELP pare_egress_beacon_period_seconds Interval at which a destination is called.\n"
      "# TYPE pare_egress_beacon_period_seconds gauge\n";
  for (const Destination& each : report.destinations)
    if (auto beacon = each.beacon(); beacon && beacon->rhythm != Rhythm::kIrregular)
      text += fmt::format(
          "pare_egress_beacon_period_seconds{{container=\"{}\",destination=\"{}\",rhythm=\"{}\"}} "
          "{}\n",
          subject, escaped(each.name), to_string(beacon->rhythm),
          static_cast<double>(beacon->period_ms) / 1000);
  text += fmt::format(
      "# HELP pare_egress_lost_total Attempts that were counted but not told apart.\n"
      "# TYPE pare_egress_lost_total counter\n"
      "pare_egress_lost_total{{container=\"{0}\"}} {1}\n"
      "# HELP pare_egress_dropped_packets_total Packets that did not leave.\n"
      "# TYPE pare_egress_dropped_packets_total counter\n"
      "pare_egress_dropped_packets_total{{container=\"{0}\"}} {2}\n"
      "# HELP pare_egress_window_open The window stands: nothing leaves but the exceptions.\n"
      "# TYPE pare_egress_window_open gauge\n"
      "pare_egress_window_open{{container=\"{0}\"}} {5}\n"
      "# HELP pare_egress_sealed Nothing passes beside the window.\n"
      "# TYPE pare_egress_sealed gauge\n"
      "pare_egress_sealed{{container=\"{0}\"}} {3}\n"
      "# HELP pare_egress_exceptions Exceptions that are in force.\n"
      "# TYPE pare_egress_exceptions gauge\n"
      "pare_egress_exceptions{{container=\"{0}\"}} {4}\n",
      subject, report.lost(), report.totals.dropped_packets, report.sealed ? 1 : 0,
      report.in_force(), report.open ? 1 : 0);
  if (!report.log.known) return text;
  return text + fmt::format(
                    "# HELP pare_egress_log_bytes_total What the container wrote to its log.\n"
                    "# TYPE pare_egress_log_bytes_total counter\n"
                    "pare_egress_log_bytes_total{{container=\"{0}\"}} {1}\n"
                    "# HELP pare_egress_log_repeated_lines_total Lines that it wrote again and "
                    "again.\n"
                    "# TYPE pare_egress_log_repeated_lines_total counter\n"
                    "pare_egress_log_repeated_lines_total{{container=\"{0}\"}} {2}\n",
                    subject, report.log.bytes, report.log.repeated_lines);
}

std::string alert_rules() {
  return R"(groups:
  - name: pare-egress
    rules:
      - alert: EgressAttempted
        expr: sum by (container, destination) (increase(pare_egress_attempts_total{verdict!="allowed"}[10m])) > 0
        labels: {severity: warning}
        annotations:
          summary: "{{ $labels.container }} tried to reach {{ $labels.destination }}, which is not allowed"
      - alert: EgressBeacon
        expr: pare_egress_beacon_period_seconds > 0
        for: 10m
        labels: {severity: warning}
        annotations:
          summary: "{{ $labels.container }} calls {{ $labels.destination }} every {{ $value }} s"
      - alert: EgressNotSealed
        expr: pare_egress_sealed == 0
        labels: {severity: critical}
        annotations:
          summary: "{{ $labels.container }} can send past its egress window"
      - alert: EgressWindowGone
        expr: absent(pare_egress_window_open) or pare_egress_window_open == 0
        for: 5m
        labels: {severity: critical}
        annotations:
          summary: "no egress window reports"
      - alert: EgressLogFlood
        expr: rate(pare_egress_log_repeated_lines_total[10m]) > 1
        for: 10m
        labels: {severity: warning}
        annotations:
          summary: "{{ $labels.container }} writes the same lines {{ $value }} times a second"
      - alert: EgressLoss
        expr: increase(pare_egress_lost_total[10m]) > 0
        labels: {severity: warning}
        annotations:
          summary: "{{ $labels.container }} tries more than can be told apart"
)";
}

}  // namespace pare::confine
