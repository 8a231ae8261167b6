// What an image holds, seen through a container of it that is made once and never started.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/docker_api.h"

namespace pare::engine {

struct ImagePath {
  bool directory = false;
  bool executable = false;  // by anybody
};

class ImageView {
 public:
  // `volumes`: paths where Docker makes anonymous volumes, filled with what the image has there.
  static Result<std::unique_ptr<ImageView>> open(std::shared_ptr<const DockerApi> api,
                                                 const std::string& session,
                                                 const std::string& image_id,
                                                 const std::vector<std::string>& volumes);
  ImageView(const ImageView&) = delete;
  ImageView& operator=(const ImageView&) = delete;
  ~ImageView();

  // Links are followed inside the image. nullopt: no such path.
  Result<std::optional<ImagePath>> stat(const std::string& path) const;
  // A regular file, at most 16 MiB; kUsage when there is none.
  Result<std::string> read(const std::string& path) const;
  // uid and gid; nullopt: no such path.
  Result<std::optional<std::pair<uint32_t, uint32_t>>> owner(const std::string& path) const;
  bool has_volume(const std::string& path) const { return volumes_.count(path) > 0; }
  // Host directory of an anonymous volume; empty when there is none or it is out of sight.
  std::string volume_directory(const std::string& path) const;

 private:
  struct Stat {
    uint64_t mode = 0;  // Go's os.FileMode
    std::string link_target;
  };
  struct Content;

  ImageView(std::shared_ptr<const DockerApi> api, std::string container)
      : api_(std::move(api)), container_(std::move(container)) {}
  std::string archive_url(const std::string& path) const;
  Result<std::optional<Stat>> stat_once(const std::string& path) const;
  Result<std::string> follow(const std::string& path) const;
  Result<std::optional<Content>> archive(const std::string& path, bool with_content) const;

  std::shared_ptr<const DockerApi> api_;
  std::string container_;
  std::map<std::string, std::string> volumes_;  // host directory by path
};

}  // namespace pare::engine
