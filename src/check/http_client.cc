#include "check/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>

#include "base/text.h"

namespace pare::check {
namespace {

constexpr size_t kBodyLimit = 16U << 20;

struct CurlDelete {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& body = static_cast<HttpResponse*>(user)->body;
  size_t room = kBodyLimit - body.size();
  body.append(data, std::min(size * count, room));
  return size * count;
}

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& response = *static_cast<HttpResponse*>(user);
  std::string_view line = base::trim({data, size * count});
  if (base::starts_with(line, "HTTP/")) {  // also after 100 Continue
    response.headers.clear();
    response.answered = true;
  } else if (size_t colon = line.find(':'); colon != std::string_view::npos) {
    response.headers.emplace_back(base::lower(line.substr(0, colon)),
                                  base::trim(line.substr(colon + 1)));
  }
  return size * count;
}

std::string problem_text(CURLcode code, CURL* curl, const HttpRequest& request,
                         HttpResponse& response) {
  long os_errno = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      response.refused = os_errno == ECONNREFUSED;
      if (response.refused) return "connection refused";
      return os_errno == 0 ? "cannot connect" : base::lower(strerror(static_cast<int>(os_errno)));
    case CURLE_OPERATION_TIMEDOUT:
      return (response.answered ? "the answer did not end within " : "no answer within ") +
             duration_text(request.within);
    case CURLE_GOT_NOTHING:
      return "connection closed without an answer";
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return response.answered ? "connection closed in the middle of the answer"
                               : "connection closed without an answer";
    case CURLE_SSL_CONNECT_ERROR:
      return "no TLS handshake";
    case CURLE_UNSUPPORTED_PROTOCOL:  // also an answer that is not HTTP/1
    case CURLE_WEIRD_SERVER_REPLY:
      return "the answer is not HTTP";
    default:
      return base::lower(curl_easy_strerror(code));
  }
}

void set_options(CURL* curl, const HttpRequest& request, const std::string& url,
                 curl_slist* headers, HttpResponse& response) {
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.within.count()));
  long version = CURL_HTTP_VERSION_1_1;
  if (request.http2) {
    version =
        request.scheme == "https" ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
  }
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, version);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else {
    bool with_body = !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                     request.method == "PATCH";
    if (with_body) {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &response);
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  for (auto it = headers.rbegin(); it != headers.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return {};
}

std::string duration_text(std::chrono::milliseconds duration) {
  if (duration < std::chrono::seconds(1)) return fmt::format("{} ms", duration.count());
  return fmt::format("{:g} s", static_cast<double>(duration.count()) / 1000);
}

HttpResponse exchange(const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  HttpResponse response;
  std::unique_ptr<CURL, CurlDelete> curl(curl_easy_init());
  if (!curl) {
    response.problem = "no memory for a request";
    return response;
  }
  bool v6 = request.address.find(':') != std::string::npos;
  std::string url = fmt::format("{}://{}{}{}:{}{}", request.scheme, v6 ? "[" : "", request.address,
                                v6 ? "]" : "", request.port, request.path);
  std::unique_ptr<curl_slist, CurlDelete> headers;
  auto add = [&](const std::string& header) {
    if (curl_slist* list = curl_slist_append(headers.get(), header.c_str())) {
      (void)headers.release();
      headers.reset(list);
    }
  };
  add("Expect:");  // no pause for 100 Continue before a large body
  for (const auto& header : request.headers) {
    // CURLOPT_HTTPHEADER(3): "Name:" takes a header away, "Name;" sends it without a value.
    bool valueless = base::ends_with(base::trim(header), ":");
    add(valueless ? header.substr(0, header.find(':')) + ";" : header);
  }
  set_options(curl.get(), request, url, headers.get(), response);
  CURLcode code = curl_easy_perform(curl.get());
  // libcurl 7.88 loses an answer that ends its HTTP/2 stream before the request's body is sent, as
  // a gRPC refusal may: up to a quarter of them. A new connection each time keeps the odds.
  curl_easy_setopt(curl.get(), CURLOPT_FRESH_CONNECT, 1L);
  for (int i = 0; i < 12 && code == CURLE_HTTP2_STREAM && !response.answered; ++i) {
    code = curl_easy_perform(curl.get());
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_TOTAL_TIME, &response.seconds);
  curl_off_t handshake = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_APPCONNECT_TIME_T, &handshake);
  response.tls = handshake > 0;
  response.status = static_cast<int>(status);
  response.complete = code == CURLE_OK;
  response.spoke = code != CURLE_OPERATION_TIMEDOUT && code != CURLE_COULDNT_CONNECT;
  if (!response.complete) response.problem = problem_text(code, curl.get(), request, response);
  return response;
}

}  // namespace pare::check
