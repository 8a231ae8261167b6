#include "check/grpc.h"

namespace pare::check {
namespace {

constexpr size_t kFrameHead = 5;  // compressed flag, length in four bytes, big-endian

// Protocol Buffers' base-128 varint; advances `bytes`.
std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

}  // namespace

HttpRequest grpc_request(const Spec& spec, const Subject& subject, const std::string& path,
                         std::string_view message) {
  HttpRequest request = request_to(spec, subject, "POST", path);
  request.http2 = true;
  request.headers.emplace_back("Content-Type: application/grpc");
  request.headers.emplace_back("TE: trailers");
  auto size = static_cast<uint32_t>(message.size());
  request.body += '\0';
  for (int shift = 24; shift >= 0; shift -= 8) request.body += static_cast<char>(size >> shift);
  request.body += message;
  return request;
}

std::optional<std::string> grpc_message(std::string_view body) {
  if (body.size() < kFrameHead || body[0] != 0) return std::nullopt;
  uint32_t size = 0;
  for (size_t i = 1; i < kFrameHead; ++i) size = size << 8 | static_cast<unsigned char>(body[i]);
  body.remove_prefix(kFrameHead);
  if (body.size() < size) return std::nullopt;
  return std::string(body.substr(0, size));
}

std::string health_request(std::string_view service) {
  std::string message;
  if (service.empty()) return message;
  message += '\x0a';  // field 1, length-delimited
  put_varint(message, service.size());
  message += service;
  return message;
}

std::optional<uint64_t> health_status(std::string_view message) {
  uint64_t status = 0;  // a field that is not sent has the value 0
  while (!message.empty()) {
    auto tag = take_varint(message);
    if (!tag || (*tag & 7) != 0) return std::nullopt;  // nothing but varints is defined
    auto value = take_varint(message);
    if (!value) return std::nullopt;
    if (*tag >> 3 == 1) status = *value;
  }
  return status;
}

}  // namespace pare::check
