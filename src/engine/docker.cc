// The docker engine: images and containers of a Docker daemon.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/docker_api.h"
#include "engine/docker_config.h"
#include "engine/docker_container.h"
#include "engine/docker_image.h"
#include "engine/docker_resolve.h"
#include "engine/engine.h"

namespace pare::engine {

using base::Json;
using target::Target;

namespace {

class DockerEngine : public Engine {
 public:
  DockerEngine(std::shared_ptr<const DockerApi> api, DockerOptions options)
      : api_(std::move(api)), options_(std::move(options)) {}

  std::string name() const override { return "docker"; }
  Result<std::string> runtime_version() override { return api_->runtime(); }
  Result<Target> resolve(const Target& target) override;
  Result<std::string> volume_source(const target::Volume& volume) override;
  Result<std::unique_ptr<Container>> create(const Target& target, const privilege::Policy& policy,
                                            const privilege::Platform& platform,
                                            const CreateOptions& options) override;
  Status sweep(const std::string& session) override;
  Result<std::string> read_image_file(const Target& target, const std::string& path) override;
  std::optional<std::pair<uint32_t, uint32_t>> owner(const Target& target,
                                                     const std::string& path) override;

 private:
  struct Image {
    std::string id;
    target::ImageFacts facts;  // without passwd
    std::unique_ptr<ImageView> view;
  };
  Result<Image> inspect_image(const std::string& reference) const;
  Result<Image*> image(const Target& target);

  std::shared_ptr<const DockerApi> api_;
  DockerOptions options_;
  std::map<std::string, Image> images_;  // by the reference in Target::image
};

std::string mode_for_everybody(const std::string& directory) {
  std::error_code ec;
  std::filesystem::permissions(directory, std::filesystem::perms(01777), ec);
  return ec ? ec.message() : "";
}

// Where its writable space starts with the image's files, a Pod has an emptyDir that everybody may
// write to; Docker's own volume keeps the image's mode, as `docker run -v PATH` will.
Status open_copied_up(const Json& container, const privilege::Policy& policy) {
  for (const privilege::Writable& writable : policy.writable) {
    if (!writable.copy_up) continue;
    for (const Json& mount : container.at("Mounts")) {
      if (mount.at("Destination") != writable.path) continue;
      std::string error = mode_for_everybody(mount.at("Source"));
      if (!error.empty()) {
        return fail(ErrorKind::kHost, "cannot open the copy of " + writable.path + ": " + error);
      }
    }
  }
  return {};
}

// Docker is sent a profile, Podman is told where one is (containers/podman pkg/specgen: the
// profile's path). The file goes with the session's directory.
Status put_profiles_in_files(Json& body, const std::string& directory, const std::string& id) {
  constexpr std::string_view kGiven = "seccomp={";
  for (Json& option : body.at("HostConfig").at("SecurityOpt")) {
    std::string text = option;
    if (!base::starts_with(text, kGiven)) continue;
    std::string path = directory + "/" + id + ".seccomp.json";
    PARE_CHECK_OK(base::write_file_atomic(path, text.substr(kGiven.size() - 1)));
    option = "seccomp=" + path;
  }
  return {};
}

Result<DockerEngine::Image> DockerEngine::inspect_image(const std::string& reference) const {
  ApiRequest inspect;
  // A reference's slashes are part of the path.
  std::vector<std::string> parts;
  for (const std::string& part : base::split(reference, '/')) parts.push_back(url_escape(part));
  inspect.path = "/images/" + base::join(parts, "/") + "/json";
  ApiReply reply;
  PARE_TRY(reply, api_->send(inspect));
  if (reply.status == 404 || reply.status == 400) {
    return fail(ErrorKind::kUsage, "image " + reference +
                                       " is not on this Docker host: docker pull " +
                                       base::shell_quote(reference));
  }
  if (!reply.ok()) {
    return fail(ErrorKind::kHost, "cannot look at image " + reference + ": " + reply.message());
  }
  Json json;
  PARE_TRY(json, base::parse_json(reply.body, "image " + reference));
  Image image;
  PARE_TRY(image.facts, image_facts(json));
  image.id = json.value("Id", "");
  return image;
}

Result<DockerEngine::Image*> DockerEngine::image(const Target& target) {
  auto known = images_.find(target.image);
  if (known == images_.end()) {
    Image fresh;
    PARE_TRY(fresh, inspect_image(target.image));
    known = images_.emplace(target.image, std::move(fresh)).first;
  }
  Image& image = known->second;
  // Volumes that the line leaves to Docker are filled from the image, as Docker would.
  std::vector<std::string> anonymous = image.facts.volumes;
  bool seen = image.view != nullptr;
  for (const target::Volume& volume : target.volumes) {
    if (!volume.source.empty()) continue;
    anonymous.push_back(volume.path);
    seen = seen && image.view->has_volume(volume.path);
  }
  if (!seen) {
    PARE_TRY(image.view, ImageView::open(api_, options_.session, image.id, anonymous));
  }
  return &image;
}

Result<Target> DockerEngine::resolve(const Target& asked) {
  Image* image = nullptr;
  PARE_TRY(image, this->image(asked));
  Target target = asked;
  target.facts = image->facts;
  PARE_CHECK_OK(resolve_target(target, *image->view));
  return target;
}

Result<std::string> DockerEngine::volume_source(const target::Volume& volume) {
  if (volume.source.empty()) {
    for (const auto& [reference, image] : images_) {
      std::string directory = image.view->volume_directory(volume.path);
      if (!directory.empty()) return directory;
    }
    return std::string();
  }
  std::string directory = volume.source;
  if (volume.named) {
    ApiRequest look;
    look.path = "/volumes/" + url_escape(volume.source);
    ApiReply reply;
    PARE_TRY(reply, api_->send(look));
    if (reply.status == 404) return std::string();
    if (!reply.ok()) {
      return fail(ErrorKind::kHost,
                  "cannot look up volume " + volume.source + ": " + reply.message());
    }
    Json json;
    PARE_TRY(json, base::parse_json(reply.body, "volume " + volume.source));
    directory = json.value("Mountpoint", "");
    if (access(directory.c_str(), F_OK) != 0) {
      return fail(ErrorKind::kHost, "volume " + volume.source +
                                        " is not a directory of this host (" + directory +
                                        "): pare has to run where the Docker daemon runs");
    }
  }
  // Docker makes an empty directory where the source of a bind is missing.
  return access(directory.c_str(), F_OK) == 0 ? directory : std::string();
}

Result<std::unique_ptr<Container>> DockerEngine::create(const Target& target,
                                                        const privilege::Policy& policy,
                                                        const privilege::Platform& platform,
                                                        const CreateOptions& given) {
  Image* image = nullptr;
  PARE_TRY(image, this->image(target));
  CreateOptions options = given;
  for (VolumeMount& volume : options.volumes) {
    // The API has no read-only anonymous volumes.
    bool writable = std::any_of(policy.volumes.begin(), policy.volumes.end(),
                                [&](const auto& v) { return v.path == volume.path && v.writable; });
    if (volume.source.empty() && !writable) {
      volume.source = image->view->volume_directory(volume.path);
    }
  }
  DockerContainerRequest request{target,           policy,    platform, options,
                                 options_.session, image->id, "",       api_->podman()};
  if (!target.seccomp_file.empty() && policy.seccomp_default) {
    PARE_TRY(request.seccomp_profile, base::read_file(target.seccomp_file));
  }
  ApiRequest post;
  post.method = "POST";
  post.path = "/containers/create?name=" + url_escape(options.id);
  post.timeout = options.timeout;
  PARE_TRY(post.body, docker_container(request));
  if (api_->podman()) {
    PARE_CHECK_OK(put_profiles_in_files(*post.body, options_.state_dir, options.id));
  }
  std::string what = "Docker does not create a container of " + target.image;
  Json created;
  PARE_TRY(created, api_->json(post, what));
  UniqueFd output;
  if (options.output >= 0) {
    output.reset(fcntl(options.output, F_DUPFD_CLOEXEC, 0));
    if (!output.valid()) return fail_errno("cannot keep the container's output", errno);
  }
  std::string id = created.value("Id", "");
  std::string leaf = (api_->podman() ? "libpod-" : "") + id;  // libpod/container.go of Podman
  auto container = std::make_unique<DockerContainer>(
      api_, DockerContainerOptions{id, leaf, target.tty, options.log_path, std::move(output),
                                   target.image, options.timeout});
  bool copies = std::any_of(policy.writable.begin(), policy.writable.end(),
                            [](const privilege::Writable& w) { return w.copy_up; });
  if (copies && platform.name != "docker") {
    ApiRequest look;
    look.path = "/containers/" + id + "/json";
    Json json;
    PARE_TRY(json, api_->json(look, what));
    auto opened = base::read_json(what, [&] { return open_copied_up(json, policy); });
    if (!opened) return tl::unexpected(opened.error());
    PARE_CHECK_OK(*opened);
  }
  return container;
}

Status DockerEngine::sweep(const std::string& session) {
  Json filters = {{"label", {"pare.session=" + session}}};
  ApiRequest list;
  list.path = "/containers/json?all=1&filters=" + url_escape(base::write_json(filters));
  Json containers;
  PARE_TRY(containers, api_->json(list, "cannot list containers"));
  for (const Json& container : containers) {
    ApiRequest remove;
    remove.method = "DELETE";
    remove.path = "/containers/" + container.value("Id", "") + "?force=1&v=1";
    ApiReply reply;
    PARE_TRY(reply, api_->send(remove));
    if (!reply.ok() && reply.status != 404 && reply.status != 409) {
      return fail(ErrorKind::kHost,
                  "cannot remove a container that an earlier run left: " + reply.message());
    }
  }
  return {};
}

Result<std::string> DockerEngine::read_image_file(const Target& target, const std::string& path) {
  Image* image = nullptr;
  PARE_TRY(image, this->image(target));
  return image->view->read(path);
}

std::optional<std::pair<uint32_t, uint32_t>> DockerEngine::owner(const Target& target,
                                                                 const std::string& path) {
  auto image = this->image(target);
  if (!image) return std::nullopt;
  return (*image)->view->owner(path).value_or(std::nullopt);
}

}  // namespace

Result<std::unique_ptr<Engine>> make_docker(const DockerOptions& options) {
  std::shared_ptr<const DockerApi> api;
  PARE_TRY(api, DockerApi::connect(options.socket));
  return std::make_unique<DockerEngine>(std::move(api), options);
}

}  // namespace pare::engine
