// What a port is, for the callers inside check/.
#pragma once

#include <chrono>

#include "check/check.h"

namespace pare::check {

// identify() on a thread that is in the subject's namespace already.
Identity identify_here(const Subject& subject, uint16_t port);

// For asking what a port is, patiently or not.
Spec probe_spec(uint16_t port, bool tls, std::chrono::milliseconds within);

// Prometheus' text format 0.0.4: comment lines "# HELP" and "# TYPE".
bool is_prometheus_text(const std::string& body);

}  // namespace pare::check
