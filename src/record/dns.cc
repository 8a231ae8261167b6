#include "record/dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <resolv.h>

#include <algorithm>

#include "base/text.h"

namespace pare::record {
namespace {

struct Type {
  int number;
  const char* name;
};
constexpr Type kTypes[] = {{ns_t_a, "A"},     {ns_t_aaaa, "AAAA"}, {ns_t_ns, "NS"},
                           {ns_t_mx, "MX"},   {ns_t_txt, "TXT"},   {ns_t_cname, "CNAME"},
                           {ns_t_ptr, "PTR"}, {ns_t_srv, "SRV"},   {ns_t_soa, "SOA"},
                           {65, "HTTPS"},     {64, "SVCB"},        {ns_t_any, "ANY"}};

// The offset behind the questions; 0: they are not whole.
size_t questions_end(const unsigned char* data, size_t size) {
  const unsigned char* end = data + size;
  const unsigned char* at = data + NS_HFIXEDSZ;
  for (unsigned left = ns_get16(data + 4); left > 0; --left) {
    const int name = dn_skipname(at, end);
    if (name < 0 || end - at < name + NS_QFIXEDSZ) return 0;
    at += name + NS_QFIXEDSZ;
  }
  return static_cast<size_t>(at - data);
}

}  // namespace

std::string dns_type_name(int number) {
  for (const Type& type : kTypes)
    if (type.number == number) return type.name;
  return fmt::format("TYPE{}", number);
}

std::optional<DnsMessage> parse_dns(std::string_view bytes) {
  std::string copy(bytes);
  auto* data = reinterpret_cast<unsigned char*>(copy.data());
  if (copy.size() < NS_HFIXEDSZ) return std::nullopt;
  ns_msg handle;
  if (ns_initparse(data, static_cast<int>(copy.size()), &handle) != 0) {
    // ns_initparse wants every record whole; the kernel side may have cut the message off.
    const size_t end = questions_end(data, copy.size());
    std::fill(copy.begin() + 6, copy.begin() + NS_HFIXEDSZ, '\0');  // counts of the other sections
    if (end == 0 || ns_initparse(data, static_cast<int>(end), &handle) != 0) return std::nullopt;
  }
  DnsMessage message;
  message.response = ns_msg_getflag(handle, ns_f_qr) != 0;
  ns_rr record;
  for (int i = 0; i < ns_msg_count(handle, ns_s_qd); ++i) {
    if (ns_parserr(&handle, ns_s_qd, i, &record) != 0) return std::nullopt;
    message.questions.push_back(
        {base::lower(ns_rr_name(record)), dns_type_name(ns_rr_type(record))});
  }
  for (int i = 0; i < ns_msg_count(handle, ns_s_an); ++i) {
    if (ns_parserr(&handle, ns_s_an, i, &record) != 0) break;
    const int family = ns_rr_type(record) == ns_t_a      ? AF_INET
                       : ns_rr_type(record) == ns_t_aaaa ? AF_INET6
                                                         : 0;
    const size_t size = family == AF_INET ? NS_INADDRSZ : NS_IN6ADDRSZ;
    char text[INET6_ADDRSTRLEN];
    if (family != 0 && ns_rr_rdlen(record) == size &&
        inet_ntop(family, ns_rr_rdata(record), text, sizeof(text)) != nullptr)
      message.addresses.emplace_back(text);
  }
  if (message.questions.empty()) return std::nullopt;
  return message;
}

}  // namespace pare::record
