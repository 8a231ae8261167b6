// Text of outside as GitHub-flavoured Markdown.
#pragma once

#include <string>
#include <vector>

namespace pare::report {

// As text in any place, a table's cell included.
std::string markdown_text(const std::string& raw);
// A code span.
std::string markdown_code(const std::string& raw);
// A heading and its items as text; empty where there are none.
std::string markdown_list(const std::string& title, const std::vector<std::string>& items);

}  // namespace pare::report
