// The parts that a check's spellings (URL, exec, pasted curl line) are read from.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "check/check.h"

namespace pare::check {

using FileReader = std::function<Result<std::string>(const std::string& path)>;

// parse_spec with the files of body=@FILE and -d @FILE read through `read`.
Result<Spec> parse_spec(const std::string& text, const FileReader& read);
// The same, but its name stays empty unless `name=` gives one.
Result<Spec> parse_unnamed(const std::string& text, const FileReader& read);
Result<Spec> parse_unnamed(const std::string& text);

// Gives a unique name to each spec that has none. kUsage when two that have one have the same.
Status name_specs(std::vector<Spec>& specs);

struct Url {
  std::string scheme;
  bool has_host = false;  // "localhost", "127.0.0.1", ...: which one does not matter
  uint16_t port = 0;      // 0: none was written
  std::string path;       // "/..." with the query, without the fragment
};
// SCHEME://[HOST][:PORT][/PATH]; `scheme` stands in for one that is not written (empty: required).
Result<Url> parse_url(std::string_view text, std::string_view scheme);

// 80 and 443 where a host is written without a port, as every client has it. kUsage without one.
Status adopt_port(Spec& spec, const Url& url);

// Modifiers, separated by ';' ("\;" does not separate), into `spec`; appends them to spec.text,
// secrets masked.
Status apply_modifiers(Spec& spec, std::string_view text, const FileReader& read);

// kUsage unless "Name: value" has a name that is a token (RFC 9110 section 5.6.2) and a value
// without control characters. The value is never repeated in the sentence.
Result<std::string> parse_header(std::string_view text);

// Headers that are implied by a body, and rules that concern several parts at once.
Status complete_http(Spec& spec, std::string_view default_content_type);

Result<Spec> parse_exec(std::string_view text, const FileReader& read);
Result<Spec> parse_curl(std::string_view text, const FileReader& read);

// Masking, for Spec::text. A header or a query parameter is secret by its name.
bool secret_name(std::string_view name);
std::string mask_header(std::string_view header);
std::string mask_url(std::string_view url);

}  // namespace pare::check
