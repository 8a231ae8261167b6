#include "engine/oci_image.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/docker_resolve.h"
#include "sys/process.h"

namespace pare::engine {

using base::Json;

namespace {

constexpr std::chrono::hours kCopyLimit{2};

Status run_tool(const std::vector<std::string>& words, const std::string& what) {
  if (!sys::find_program(words[0])) {
    return fail(ErrorKind::kHost, words[0] + " is not installed, and " + what +
                                      " needs it: apt-get install skopeo umoci");
  }
  sys::Command command;
  command.argv = words;
  PARE_TRY(sys::Finished finished, sys::run(command, kCopyLimit));
  if (finished.code == 0) return {};
  std::vector<std::string> lines = base::split(base::trim(finished.err), '\n');
  return fail(ErrorKind::kUsage, what + ": " + words[0] + ": " + lines.back());
}

Result<Json> read_blob(const std::string& layout, const std::string& digest) {
  size_t colon = digest.find(':');
  if (colon == std::string::npos || digest.find('/') != std::string::npos) {
    return fail(ErrorKind::kUnread, layout + ": '" + digest + "' is no digest");
  }
  std::string path = layout + "/blobs/" + digest.substr(0, colon) + "/" + digest.substr(colon + 1);
  PARE_TRY(std::string text, base::read_file(path));
  return base::parse_json(text, path);
}

struct Described {
  std::string digest;  // of the manifest
  Json config;         // as docker inspect spells it
};

// OCI image-spec: index.json -> manifest -> config.
Result<Described> describe(const std::string& layout) {
  PARE_TRY(std::string text, base::read_file(layout + "/index.json"));
  PARE_TRY(Json index, base::parse_json(text, layout + "/index.json"));
  PARE_TRY(std::string digest, base::read_json("index.json", [&] {
             return index.at("manifests").at(0).at("digest").get<std::string>();
           }));
  PARE_TRY(Json manifest, read_blob(layout, digest));
  PARE_TRY(std::string config_digest, base::read_json("manifest", [&] {
             return manifest.at("config").at("digest").get<std::string>();
           }));
  PARE_TRY(Json config, read_blob(layout, config_digest));
  Json image = {{"Id", digest}};
  image["Config"] = config.contains("config") ? config["config"] : Json::object();
  return Described{digest, std::move(image)};
}

// A finished directory takes its place; one that another pare has put there is as good.
Status publish(const std::string& made, const std::string& place) {
  PARE_CHECK_OK(base::make_directories(std::filesystem::path(place).parent_path().string(), 0700));
  if (rename(made.c_str(), place.c_str()) == 0) return {};
  if (errno == EEXIST || errno == ENOTEMPTY) return {};
  if (errno != EXDEV) return fail_errno("cannot keep the unpacked image in " + place, errno);
  return fail(ErrorKind::kHost, "the session's directory and " + place +
                                    " are on different file systems: set PARE_STATE_DIR");
}

}  // namespace

bool is_image_file(std::string_view reference) {
  return base::starts_with(reference, "oci:") || base::starts_with(reference, "docker-archive:");
}

Result<target::Target> unpack_image(const target::Target& target, const std::string& cache,
                                    const std::string& work) {
  std::string what = "image " + target.image;
  std::string layout = work + "/image-layout", bundle = work + "/image-bundle";
  PARE_CHECK_OK(run_tool(
      {"skopeo", "--insecure-policy", "copy", "--quiet", target.image, "oci:" + layout + ":pare"},
      what));
  PARE_TRY(Described image, describe(layout));
  std::string place = cache + "/" + image.digest.substr(image.digest.find(':') + 1);
  if (access((place + "/rootfs").c_str(), F_OK) != 0) {
    PARE_CHECK_OK(run_tool({"umoci", "unpack", "--image", layout + ":pare", bundle}, what));
    PARE_CHECK_OK(publish(bundle, place));
  }
  std::error_code ec;
  std::filesystem::remove_all(layout, ec);
  std::filesystem::remove_all(bundle, ec);
  target::Target unpacked = target;
  unpacked.kind = target::Kind::kRootfs;
  unpacked.rootfs = place + "/rootfs";
  PARE_TRY(unpacked.facts, image_facts(image.config));
  add_image_volumes(unpacked);
  if (unpacked.publish_all) PARE_CHECK_OK(publish_all(unpacked));
  return unpacked;
}

}  // namespace pare::engine
