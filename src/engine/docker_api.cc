#include "engine/docker_api.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace pare::engine {

using base::Json;

namespace {

struct CurlGlobal {
  CurlGlobal() { curl_global_init(CURL_GLOBAL_DEFAULT); }
};

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// What the callbacks share.
struct Exchange {
  const ApiRequest& request;
  CURL* easy;
  ApiReply reply;
  bool stopped_by_sink = false;
};

size_t take_body(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  size_t bytes = size * count;
  long status = 0;
  curl_easy_getinfo(exchange.easy, CURLINFO_RESPONSE_CODE, &status);
  if (!exchange.request.sink || status >= 400) {
    exchange.reply.body.append(data, bytes);
    return bytes;
  }
  exchange.stopped_by_sink = !exchange.request.sink({data, bytes});
  return exchange.stopped_by_sink ? 0 : bytes;
}

size_t take_header(char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  std::string_view line(data, size * count);
  size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    exchange.reply.headers[base::lower(line.substr(0, colon))] =
        std::string(base::trim(line.substr(colon + 1)));
  }
  return size * count;
}

curl_socket_t open_socket(void*, curlsocktype, curl_sockaddr* address) {
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int look_at_cancel(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& exchange = *static_cast<Exchange*>(user);
  return exchange.request.cancel != nullptr && exchange.request.cancel->load() ? 1 : 0;
}

tl::unexpected<Error> no_daemon(const std::string& socket, const std::string& why, int err) {
  std::string remedy = err == EACCES
                           ? "run pare as root or as a member of the socket's group"
                           : "start Docker, or say where it listens with DOCKER_HOST=unix:///PATH";
  return fail(ErrorKind::kHost,
              "no Docker daemon answers at " + socket + " (" + why + "): " + remedy, err);
}

Json parse_or_null(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

std::string text_of(const Json& json, const char* key) {
  auto it = json.is_object() ? json.find(key) : json.end();
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

// "1.41" -> 41; API versions have had the major number 1 alone.
int minor_of(const std::string& version) {
  auto minor = base::parse_u64(version.substr(std::min(version.find('.') + 1, version.size())));
  return minor && *minor < 1000 ? static_cast<int>(*minor) : 0;
}

constexpr int kWantedMinor = 41;  // Docker 20.10

}  // namespace

std::string ApiReply::message() const {
  std::string text = text_of(parse_or_null(body), "message");
  return text.empty() ? "HTTP " + std::to_string(status) : text;
}

Result<std::shared_ptr<const DockerApi>> DockerApi::connect(const std::string& socket) {
  static const CurlGlobal kGlobal;
  std::string path = socket;
  if (base::starts_with(path, "unix://")) path.erase(0, 7);
  if (path.empty() || path[0] != '/') {
    return fail(ErrorKind::kUsage, "Docker address '" + socket +
                                       "' is not supported: pare needs the daemon's unix socket "
                                       "(DOCKER_HOST=unix:///var/run/docker.sock)");
  }
  std::shared_ptr<DockerApi> api(new DockerApi(path));
  ApiRequest request;
  request.path = "/version";
  Json version;
  PARE_TRY(version, api->json(request, "Docker at " + path));
  api->take_version(version);
  return api;
}

void DockerApi::take_version(const Json& version) {
  int newest = minor_of(text_of(version, "ApiVersion"));
  int oldest = minor_of(text_of(version, "MinAPIVersion"));
  int minor = std::max(std::min(newest, kWantedMinor), oldest);
  prefix_ = "/v1." + std::to_string(minor);
  std::string engine = "Docker " + text_of(version, "Version");
  std::string runtime;
  if (version.contains("Components") && version["Components"].is_array()) {
    for (const Json& component : version["Components"]) {
      std::string name = text_of(component, "Name");
      std::string number = text_of(component, "Version");
      if (name == "runc" || name == "crun") runtime = fmt::format("{} {}", name, number);
      podman_ = podman_ || name == "Podman Engine";
      if (name == "Podman Engine") engine = "Podman " + number;
    }
  }
  runtime_ = runtime.empty() ? engine : runtime + " (" + engine + ")";
}

Result<ApiReply> DockerApi::send(const ApiRequest& request) const {
  std::unique_ptr<CURL, EasyDeleter> easy(curl_easy_init());
  if (!easy) return fail(ErrorKind::kHost, "libcurl cannot make a connection");
  Exchange exchange{request, easy.get(), {}};
  std::string url = "http://docker" + prefix_ + request.path;
  std::string body = request.body ? base::write_json(*request.body) : "";
  // Without "Expect:" libcurl waits for "100 Continue" before a large body.
  std::unique_ptr<curl_slist, ListDeleter> headers(curl_slist_append(nullptr, "Expect:"));
  if (request.body) {
    headers.reset(curl_slist_append(headers.release(), "Content-Type: application/json"));
  }
  CURL* c = easy.get();
  curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
  curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
  if (request.method == "POST") {
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.c_str());
  }
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look_at_cancel);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &exchange);
  CURLcode code = curl_easy_perform(c);
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &exchange.reply.status);
  if (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK) {
    exchange.reply.timed_out = true;
    return std::move(exchange.reply);
  }
  if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && exchange.stopped_by_sink)) {
    long err = 0;
    curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &err);
    return no_daemon(socket_, curl_easy_strerror(code), static_cast<int>(err));
  }
  return std::move(exchange.reply);
}

Result<Json> DockerApi::json(const ApiRequest& request, const std::string& what,
                             ErrorKind kind) const {
  ApiReply reply;
  PARE_TRY(reply, send(request));
  if (reply.timed_out) {
    return fail(ErrorKind::kHost,
                what + ": the Docker daemon at " + socket_ + " did not answer within " +
                    std::to_string(request.timeout.count() / 1000) + " s; is it overloaded?");
  }
  if (!reply.ok()) return fail(kind, what + ": " + reply.message());
  if (reply.body.empty()) return Json::object();
  Json json = parse_or_null(reply.body);
  if (json.is_discarded()) return fail(ErrorKind::kHost, what + ": the daemon's answer is no JSON");
  return json;
}

std::string url_escape(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) != 0 ||
        std::string_view("-_.~").find(static_cast<char>(c)) != std::string_view::npos) {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += "0123456789ABCDEF"[c >> 4];
      out += "0123456789ABCDEF"[c & 15];
    }
  }
  return out;
}

}  // namespace pare::engine
