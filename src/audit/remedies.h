// What would remove a finding, spelled for the platform, companions included.
#pragma once

#include <string>

#include "audit/rules.h"

namespace pare::audit {

// "0", "root", "0:0", "root:root".
bool is_root(std::string_view user);
// The container's user, else its Pod's; empty when none is written or known.
std::string effective_user(const Workload& workload, const Container& container);

enum class Spelling : uint8_t { kPrivileged, kEscalation };

Remedy remedy_field(Scope& scope, const Container& c, const Place& written, Spelling what,
                    bool value);
// The value at `place` becomes `text`.
Remedy remedy_set_at(Scope& scope, const Place& place, const OrderedJson& value);
// The list item or option at `named.place` goes.
Remedy remedy_remove(Scope& scope, const Container& c, const Named& named, std::string_view option);
Remedy remedy_drop_all(Scope& scope, const Container& c);
Remedy remedy_user(Scope& scope, const Container& c);
Remedy remedy_security_option(Scope& scope, const Container& c, const std::string& option);
Remedy remedy_seccomp(Scope& scope, const Container& c, const Place& written);
// readOnlyRootFilesystem with the mounts and variables that the server's family needs.
Remedy remedy_read_only_root(Scope& scope, const Container& c);
// `remedy` takes the host's network away; this publishes the endpoint on 127.0.0.1 with it, or says
// why that is not known.
Remedy remedy_own_network(Scope& scope, const Container& c, Remedy remedy);
Remedy remedy_env(Scope& scope, const Container& c, const std::string& name,
                  const std::string& value);
Remedy remedy_network_policy(Scope& scope, const Container& c);
Remedy no_remedy(std::string why);

}  // namespace pare::audit
