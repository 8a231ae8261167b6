#include "engine/docker_container.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "engine/docker_stream.h"
#include "sys/deadline.h"

namespace pare::engine {

using base::Json;
using std::chrono::milliseconds;

namespace {

constexpr int kNotFound = 127, kNotPermitted = 126;  // as shells and docker run count
constexpr int kTimedOut = 124;                       // as timeout(1) does
constexpr int kGone = 255;

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// runc's words for what happened between its set-up and the entry point's first instruction.
bool is_missing_program(const std::string& message) {
  return contains(message, "executable file not found") ||
         (contains(message, "exec") && contains(message, "no such file or directory"));
}

// A refusal that the policy's user, capabilities or filter earn the entry point itself.
bool is_policy_refusal(const std::string& message) {
  bool entry = contains(message, ": exec ") || contains(message, "exec: ") ||
               contains(message, "exec user process") || contains(message, "chdir to cwd");
  return entry &&
         (contains(message, "permission denied") || contains(message, "operation not permitted"));
}

}  // namespace

DockerContainer::DockerContainer(std::shared_ptr<const DockerApi> api,
                                 DockerContainerOptions options)
    : api_(std::move(api)), options_(std::move(options)) {}

DockerContainer::~DockerContainer() {
  (void)remove();
}

std::string DockerContainer::path(const std::string& behind) const {
  return "/containers/" + options_.id + behind;
}

ApiRequest DockerContainer::request(const std::string& method, const std::string& behind) const {
  ApiRequest request;
  request.method = method;
  request.path = path(behind);
  request.timeout = options_.timeout;
  return request;
}

Result<Json> DockerContainer::inspect() const {
  return api_->json(request("GET", "/json"), "cannot look at the container of " + options_.image);
}

Status DockerContainer::append_log(std::string_view text) const {
  if (!keeps_log()) return {};
  UniqueFd file;
  if (!options_.output.valid()) {
    file.reset(open(options_.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno("cannot write " + options_.log_path, errno);
  }
  int fd = file.valid() ? file.get() : options_.output.get();
  return base::write_all(fd, text, "the container's output");
}

Status DockerContainer::start() {
  ApiReply reply;
  PARE_TRY(reply, api_->send(request("POST", "/start")));
  std::string what = "the container of " + options_.image + " did not start: ";
  if (reply.timed_out) return fail(ErrorKind::kHost, what + "the Docker daemon did not answer");
  if (reply.ok()) {
    follow_log();
    return {};
  }
  std::string message = reply.message();
  if (is_policy_refusal(message)) return refuse(kNotPermitted, message);
  if (is_missing_program(message)) return refuse(kNotFound, message);
  return fail(ErrorKind::kHost, what + message);
}

Status DockerContainer::refuse(int code, const std::string& message) {
  std::lock_guard guard(mutex_);
  refused_ = true;
  last_ = {true, code, false};
  return append_log(message + "\n");
}

void DockerContainer::follow_log() {
  if (!keeps_log()) return;
  log_done_ = false;
  log_ = std::thread([this] {
    OutputDemux demux(options_.tty);
    ApiRequest follow = request("GET", "/logs?follow=1&stdout=1&stderr=1");
    follow.timeout = milliseconds(0);
    follow.cancel = &log_cancel_;
    follow.sink = [&](std::string_view bytes) { return append_log(demux.feed(bytes)).has_value(); };
    (void)api_->send(follow);  // cut when the container is removed under it
    log_done_ = true;
  });
}

// The stream ends by itself behind the container's last words.
void DockerContainer::end_log(milliseconds grace) {
  std::lock_guard guard(mutex_);
  if (!log_.joinable()) return;
  sys::Deadline deadline(grace);
  while (!log_done_ && deadline.sleep(milliseconds(2))) {
  }
  log_cancel_ = true;
  log_.join();
}

int DockerContainer::pid() const {
  if (removed_ || refused_) return 0;
  auto container = inspect();
  if (!container) return 0;
  auto pid =
      base::read_json("container", [&] { return container->at("State").at("Pid").get<int>(); });
  return pid.value_or(0);
}

ExitState DockerContainer::state() {
  std::lock_guard guard(mutex_);
  if (removed_ || last_.exited) return last_;
  auto reply = api_->send(request("GET", "/json"));
  // Without an answer nothing is known to have changed.
  if (!reply || reply->timed_out) return last_;
  if (reply->status == 404) return last_ = {true, kGone, false};
  Json json = Json::parse(reply->body, nullptr, false);
  auto state = base::read_json("container", [&] {
    const Json& s = json.at("State");
    std::string status = s.at("Status");
    return ExitState{status == "exited" || status == "dead", s.at("ExitCode"),
                     s.value("OOMKilled", false)};
  });
  if (state && state->exited) last_ = *state;
  return last_;
}

ExitState DockerContainer::wait(milliseconds limit) {
  sys::Deadline deadline(limit);
  ExitState now = state();
  while (!now.exited && !deadline.passed()) {
    ApiRequest wait = request("POST", "/wait");
    wait.timeout = milliseconds(std::max(1, deadline.poll_timeout()));
    auto reply = api_->send(wait);
    now = state();
    // It comes at once for a container that was not started.
    bool early = !now.exited && (!reply || !reply->timed_out);
    if (early) deadline.sleep(milliseconds(5));
  }
  if (now.exited) end_log(milliseconds(2000));
  return now;
}

Status DockerContainer::signal(int number) {
  if (refused_) return {};
  ApiReply reply;
  PARE_TRY(reply, api_->send(request("POST", "/kill?signal=" + std::to_string(number))));
  // It does not run any more: 409, and 404 when it is gone.
  if (reply.ok() || reply.status == 409 || reply.status == 404) return {};
  return fail(ErrorKind::kHost, "signal " + std::to_string(number) +
                                    " did not reach the container of " + options_.image + ": " +
                                    reply.message());
}

Result<int> DockerContainer::exec(const std::vector<std::string>& argv, milliseconds limit) {
  std::string what = "cannot run " + (argv.empty() ? "nothing" : argv[0]) +
                     " in the container of " + options_.image;
  ApiRequest create = request("POST", "/exec");
  create.body = Json{{"Cmd", argv}, {"AttachStdout", true}, {"AttachStderr", true}};
  ApiReply created;
  PARE_TRY(created, api_->send(create));
  // 409: it has ended, which is its own doing.
  if (created.status == 409) return kNotPermitted;
  if (!created.ok()) return fail(ErrorKind::kHost, what + ": " + created.message());
  std::string id;
  PARE_TRY(id, base::read_json(what, [&] {
             return Json::parse(created.body, nullptr, false).at("Id").get<std::string>();
           }));
  ApiRequest run;
  run.method = "POST";
  run.path = "/exec/" + id + "/start";
  run.body = Json{{"Detach", false}, {"Tty", false}};
  run.timeout = std::max(limit, milliseconds(1));
  std::string beginning;
  run.sink = [&](std::string_view bytes) {
    beginning += bytes.substr(
        0, std::min<size_t>(bytes.size(), 1024 - std::min<size_t>(1024, beginning.size())));
    return true;
  };
  ApiReply reply;
  PARE_TRY(reply, api_->send(run));
  if (!reply.timed_out && !reply.ok()) {
    std::string message = reply.message();
    if (is_missing_program(message)) return kNotFound;
    if (is_policy_refusal(message) || reply.status == 409) return kNotPermitted;
    return fail(ErrorKind::kHost, what + ": " + message);
  }
  int code = 0;
  PARE_TRY(code, exec_result(id, reply.timed_out));
  // Docker up to 20.10 says so in the output alone.
  return code == kNotPermitted && is_missing_program(beginning) ? kNotFound : code;
}

Result<int> DockerContainer::exec_result(const std::string& id, bool timed_out) const {
  ApiRequest look;
  look.path = "/exec/" + id + "/json";
  sys::Deadline deadline(options_.timeout);
  while (true) {
    std::string what = "the command in the container of " + options_.image;
    Json json;
    PARE_TRY(json, api_->json(look, what));
    auto code = base::read_json(what, [&]() -> std::optional<int> {
      if (!json.at("Running").get<bool>()) return json.at("ExitCode").get<int>();
      if (!timed_out) return std::nullopt;  // its output ended a moment before it
      // The API cannot end it.
      if (int pid = json.value("Pid", 0); pid > 0) kill(pid, SIGKILL);
      return kTimedOut;
    });
    if (!code) return tl::unexpected(code.error());
    if (*code) return timed_out ? kTimedOut : **code;
    if (!deadline.sleep(milliseconds(2))) return fail(ErrorKind::kHost, what + " does not end");
  }
}

std::string DockerContainer::upper_dir() const {
  auto container = inspect();
  if (!container) return "";
  auto upper = base::read_json("container", [&] {
    return container->at("GraphDriver").at("Data").at("UpperDir").get<std::string>();
  });
  return upper && access(upper->c_str(), F_OK) == 0 ? *upper : "";
}

Status DockerContainer::remove() {
  if (removed_) return {};
  if (state().exited) end_log(milliseconds(2000));
  sys::Deadline deadline(options_.timeout);
  ApiReply reply;
  do {
    auto sent = api_->send(request("DELETE", "?force=1&v=1"));
    if (!sent) {
      end_log(milliseconds(0));
      return tl::unexpected(sent.error());
    }
    reply = std::move(*sent);
    // 409: a removal is under way.
  } while (reply.status == 409 && deadline.sleep(milliseconds(20)));
  end_log(milliseconds(1000));
  if (!reply.ok() && reply.status != 404) {
    return fail(ErrorKind::kHost, "cannot remove the container " + options_.id.substr(0, 12) +
                                      " of " + options_.image + ": " + reply.message());
  }
  std::lock_guard guard(mutex_);
  removed_ = true;
  last_.exited = true;
  return {};
}

}  // namespace pare::engine
