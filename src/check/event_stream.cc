#include "check/event_stream.h"

#include "base/text.h"

namespace pare::check {

std::vector<std::string> event_data(std::string_view body) {
  std::vector<std::string> events;
  std::string data;
  bool any = false;
  auto end_event = [&] {
    if (any) events.push_back(data);
    data.clear();
    any = false;
  };
  while (!body.empty()) {
    size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (base::ends_with(line, "\r")) line.remove_suffix(1);
    if (line.empty()) end_event();
    if (!base::starts_with(line, "data:")) continue;
    line.remove_prefix(base::starts_with(line, "data: ") ? 6 : 5);
    if (any) data += '\n';
    data += line;
    any = true;
  }
  end_event();
  return events;
}

}  // namespace pare::check
