#include <fmt/format.h>

#include "base/text.h"
#include "confine/egress_policy.h"

namespace pare::confine {

namespace {

// A jump for each of the container's addresses; rules go in ahead of the drop, so that a second run
// never leaves the chain open.
constexpr const char* kClose = R"sh(close() {  # COMMAND EXCEPTIONS ADDRESSES
  [ -n "$(echo $3)" ] || return 0
  "$1" -N "$chain" 2>/dev/null || "$1" -F "$chain"
  "$1" -A "$chain" -j DROP
  "$1" -I "$chain" -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
  "$2"
  for address in $3; do
    "$1" -C DOCKER-USER -s "$address" -j "$chain" 2>/dev/null ||
      "$1" -I DOCKER-USER -s "$address" -j "$chain"
  done
}
addresses() { docker inspect -f "{{range .NetworkSettings.Networks}}{{.$1}} {{end}}" "$container"; }
close iptables exceptions_v4 "$(addresses IPAddress)"
close ip6tables exceptions_v6 "$(addresses GlobalIPv6Address)"
)sh";

bool is_v6(const Exception& exception) {
  return cidr(exception).find(':') != std::string::npos;
}

std::string rules(const WindowReport& report, bool v6) {
  const char* command = v6 ? "ip6tables" : "iptables";
  std::string text = fmt::format("exceptions_{}() {{\n", v6 ? "v6" : "v4");
  for (const Learnt& learnt : report.learnt) {
    const Exception& exception = learnt.exception;
    if (!exception.name.empty() || is_v6(exception) != v6) continue;
    text += comment(learnt, "  ");
    const std::string rule = fmt::format("  {} -I \"$chain\" -d {}", command, cidr(exception));
    if (exception.port == 0 && exception.protocol == 0) {
      text += rule + " -j RETURN\n";
      continue;
    }
    for (const std::string& protocol : protocols_of(exception))
      text += fmt::format("{} -p {}{} -j RETURN\n", rule, base::lower(protocol),
                          exception.port == 0 ? "" : " --dport " + std::to_string(exception.port));
  }
  return text + "  :\n}\n";
}

}  // namespace

std::string docker_script(const WindowReport& report) {
  std::string text = fmt::format(
      "#!/bin/sh\n"
      "# Learnt by `pare watch` from {} in {:.0f} s.\n"
      "# Usage: docker.sh CONTAINER, once it runs, and again when it was started again.\n"
      "# Docker's networks know no destinations: these rules of its DOCKER-USER chain let the\n"
      "# exceptions through and drop whatever else the container begins.\n",
      report.subject, report.seconds);
  for (const Learnt& learnt : report.learnt)
    if (!learnt.exception.name.empty())
      text += comment(learnt, "") +
              "#   No such rule goes by name: pare watch CONTAINER --allow-file exceptions.txt "
              "--keep\n";
  return text +
         "set -eu\n"
         "container=${1:?which container}\n"
         "chain=PARE-$(docker inspect -f '{{.Id}}' \"$container\" | cut -c1-12)\n" +
         rules(report, false) + rules(report, true) + kClose;
}

}  // namespace pare::confine
