// What the first bytes of a connection call the other side.
#pragma once

#include <string>
#include <string_view>

namespace pare::confine {

// The server name of a TLS ClientHello (RFC 6066, section 3), or the Host of an HTTP request; lower
// case. Empty: neither, or cut off before it.
std::string server_name(std::string_view bytes);

}  // namespace pare::confine
