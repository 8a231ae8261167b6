// The target's volumes, so that no trial touches the user's data: each trial gets an overlay over
// the user's directory, or over that as the first baseline left it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "privilege/policy.h"
#include "record/areas.h"
#include "sys/mounts.h"
#include "target/target.h"

namespace pare::trial {

class Volumes {
 public:
  // state: a directory of this session, on a file system that overlayfs takes as upper layer.
  // warm: where the first baseline's changes are kept, so that --resume finds them.
  static Result<Volumes> prepare(engine::Engine& engine, const target::Target& target,
                                 const std::string& state, const std::string& warm);

  // The volumes of one trial, unmounted and discarded when this goes.
  class Mounted {
   public:
    Mounted() = default;
    Mounted(Mounted&& other) noexcept { *this = std::move(other); }
    Mounted& operator=(Mounted&& other) noexcept;
    ~Mounted();

    const std::vector<engine::VolumeMount>& mounts() const { return mounts_; }
    // The host path behind a path of the container; empty when no volume holds it.
    std::string host_path(const std::string& container_path) const;
    // What this trial has written to each writable volume.
    const std::vector<record::Area>& layers() const { return layers_; }

   private:
    friend class Volumes;
    void discard() noexcept;

    std::vector<sys::Mount> overlays_;
    std::vector<engine::VolumeMount> mounts_;
    std::vector<record::Area> layers_;
    std::string directory_;
  };

  // cold: as the user has them. Else as keep() saved them. Whole trees are given to `owner` where
  // `grants` say so.
  Result<Mounted> mount(const std::string& label, bool cold, const privilege::User& owner = {},
                        const std::vector<privilege::VolumeAccess>& grants = {}) const;
  // What this trial changed becomes the starting point of every warm trial to come.
  Status keep(Mounted mounted) const;
  bool any() const { return !entries_.empty(); }

 private:
  struct Entry {
    std::string source;  // directory that the overlay lies over
    std::string file;    // base name when the volume is a single file
    std::string path;    // in the container
    bool writable = false;
  };
  Volumes(std::string state, std::string warm) : state_(std::move(state)), warm_(std::move(warm)) {}
  std::string warm_layer(size_t index) const { return warm_ + "/" + std::to_string(index); }

  std::string state_, warm_;
  std::vector<Entry> entries_;
};

}  // namespace pare::trial
