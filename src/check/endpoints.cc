// Which known paths of inference servers a port answers without credentials.
#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <tuple>

#include "check/attempts.h"
#include "check/identify.h"
#include "check/talk.h"
#include "target/servers.h"

namespace pare::check {
namespace {

using evidence::EndpointFact;

constexpr std::chrono::milliseconds kPatience{1000};
constexpr const char* kNobodysPath = "/pare-asks-for-what-nobody-has";

struct Question {
  std::string path, method, role;
  auto operator<=>(const Question&) const = default;
};

// Of every server known, since a port may belong to a part that the image does not tell.
std::set<Question> questions() {
  std::set<Question> all;
  for (const target::Server& server : target::servers()) {
    for (const target::ServerEndpoint& row : server.endpoints)
      all.insert({row.path, row.method, row.role});
  }
  return all;
}

// Without regard to spaces, which JSON leaves to the server.
bool says(std::string body, std::string text) {
  std::erase(body, ' ');
  std::erase(text, ' ');
  return body.find(text) != std::string::npos;
}

std::string family_of(const Subject& subject, const Spec& spec) {
  std::map<std::string, HttpResponse> answers;
  for (const target::Server& server : target::servers()) {
    for (const target::ServerAnswer& row : server.answers) {
      auto [it, fresh] = answers.try_emplace(row.path);
      if (fresh) it->second = exchange(request_to(spec, subject, "GET", row.path));
      if (!it->second.answered) return "";
      if (it->second.status == 200 && says(it->second.body, row.text)) return server.family;
    }
  }
  return "";
}

class Asker {
 public:
  Asker(const Subject& subject, uint16_t port, bool tls)
      : subject_(subject), spec_(probe_spec(port, tls, kPatience)) {}

  std::vector<EndpointFact> run() {
    std::vector<EndpointFact> facts;
    for (const Question& question : questions()) {
      if (!know_nobody(question.method)) return facts;  // no HTTP, or it hangs
      HttpResponse response = ask(question.method, question.path);
      if (tells(question, response))
        facts.push_back({question.path, question.method, response.status, question.role});
    }
    return facts;
  }

 private:
  HttpResponse ask(const std::string& method, const std::string& path) {
    return exchange(request_to(spec_, subject_, method, path));
  }

  // How the server answers a path that nobody has; false when it does not.
  bool know_nobody(const std::string& method) {
    auto [it, fresh] = nobody_.try_emplace(method);
    if (fresh) it->second = ask(method, kNobodysPath);
    return it->second.answered;
  }

  bool tells(const Question& question, const HttpResponse& response) {
    if (!response.answered || response.status == 404) return false;
    const bool ok = response.status == 200;
    if (question.role == "metrics" && ok) return is_prometheus_text(response.body);
    const HttpResponse& nobody = nobody_[question.method];
    return response.status != nobody.status || (ok && question.method != "OPTIONS" &&
                                                response.body != nobody.body && !is_page(response));
  }

  // Servers with a web page answer unknown paths with it.
  static bool is_page(const HttpResponse& response) {
    return response.header("content-type").find("html") != std::string::npos;
  }

  const Subject& subject_;
  Spec spec_;
  std::map<std::string, HttpResponse> nobody_;  // by method
};

}  // namespace

Result<std::vector<EndpointFact>> endpoints(const Subject& subject, uint16_t port, bool tls) {
  PARE_TRY(Bench bench, Bench::open(subject));
  bench.switch_to_ipv6(port);
  return bench.inside([&]() -> Result<std::vector<EndpointFact>> {
    return Asker(bench.subject(), port, tls).run();
  });
}

Result<std::string> server_family(const Subject& subject, uint16_t port, bool tls) {
  PARE_TRY(Bench bench, Bench::open(subject));
  bench.switch_to_ipv6(port);
  return bench.inside([&]() -> Result<std::string> {
    return family_of(bench.subject(), probe_spec(port, tls, kPatience));
  });
}

}  // namespace pare::check
