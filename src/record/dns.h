// DNS messages (RFC 1035), as far as evidence needs them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare::record {

struct DnsMessage {
  struct Question {
    std::string name, type;  // lower case without a final dot; "A", "AAAA", "TYPE999"
  };
  bool response = false;
  std::vector<Question> questions;
  std::vector<std::string> addresses;  // of A and AAAA answers, up to where the message is cut off
};

// "A", "AAAA"; "TYPE999" where there is no name (RFC 3597, section 5).
std::string dns_type_name(int number);

// nullopt: not a DNS message with a question.
std::optional<DnsMessage> parse_dns(std::string_view bytes);

}  // namespace pare::record
