// The files that every platform gives a container by itself: /etc/hosts, /etc/hostname and
// /etc/resolv.conf.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/oci_config.h"

namespace pare::engine {

// Writes them into `directory`. With the host's network they are copies of the host's.
Result<std::vector<ProvidedFile>> provide_files(const std::string& directory,
                                                const target::Target& target,
                                                const privilege::Policy& policy,
                                                const CreateOptions& options);

// A new file of a bundle, without a sync to disk: it is worth nothing after a crash. 0600, as
// config.json holds the values of secrets, unless the container's users read it.
Status write_quickly(const std::string& path, std::string_view text, unsigned mode = 0600);

// A resolv.conf (resolv.conf(5)) for a network namespace that is not the host's: name servers on
// the host's loopback do not exist there and are left out; with none left, one address of
// TEST-NET-1 (RFC 5737) that nothing answers, so that look-ups leave the container and are seen.
std::string container_resolv_conf(const std::string& host);

}  // namespace pare::engine
