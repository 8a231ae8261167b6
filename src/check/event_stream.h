// Server-sent events (WHATWG HTML, section 9.2), as far as streamed completions use them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pare::check {

// The data of each event, in order. Comments and other fields are left out.
std::vector<std::string> event_data(std::string_view body);

}  // namespace pare::check
