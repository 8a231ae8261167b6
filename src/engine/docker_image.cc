#include "engine/docker_image.h"

#include <openssl/evp.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/docker_tar.h"

namespace pare::engine {

using base::Json;

namespace {

// Go's os.FileMode bits (io/fs package).
constexpr uint64_t kModeDirectory = uint64_t{1} << 31;
constexpr uint64_t kModeSymlink = uint64_t{1} << 27;

constexpr size_t kMostBytes = 16 << 20;

std::string decode_base64(const std::string& text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()));
  out.resize(size < 0 ? 0 : static_cast<size_t>(size));
  // The padding decodes to zeros.
  while (!out.empty() && out.back() == '\0') out.pop_back();
  return out;
}

}  // namespace

struct ImageView::Content {
  TarEntry entry;
  std::string bytes;
};

Result<std::unique_ptr<ImageView>> ImageView::open(std::shared_ptr<const DockerApi> api,
                                                   const std::string& session,
                                                   const std::string& image_id,
                                                   const std::vector<std::string>& volumes) {
  Json paths = Json::object();
  for (const std::string& path : volumes) paths[path] = Json::object();
  ApiRequest create;
  create.method = "POST";
  create.path = "/containers/create";
  create.body = Json{{"Image", image_id},
                     {"Entrypoint", {"/never-started"}},
                     {"Volumes", paths},
                     {"Labels", {{"pare.session", session}, {"pare.id", "image"}}},
                     {"HostConfig", {{"NetworkMode", "none"}}}};
  Json created;
  PARE_TRY(created, api->json(create, "cannot look into image " + image_id));
  std::unique_ptr<ImageView> view(new ImageView(std::move(api), created.value("Id", "")));
  ApiRequest inspect;
  inspect.path = "/containers/" + view->container_ + "/json";
  Json container;
  PARE_TRY(container, view->api_->json(inspect, "cannot look into image " + image_id));
  auto read = base::read_json("the daemon's container", [&] {
    for (const Json& mount : container.at("Mounts")) {
      view->volumes_[mount.at("Destination")] = mount.value("Source", "");
    }
    return true;
  });
  if (!read) return tl::unexpected(read.error());
  return view;
}

ImageView::~ImageView() {
  ApiRequest remove;
  remove.method = "DELETE";
  remove.path = "/containers/" + container_ + "?force=1&v=1";
  (void)api_->send(remove);  // what is left is swept by its label
}

std::string ImageView::archive_url(const std::string& path) const {
  return "/containers/" + container_ + "/archive?path=" + url_escape(path);
}

Result<std::optional<ImageView::Stat>> ImageView::stat_once(const std::string& path) const {
  ApiRequest head;
  head.method = "HEAD";
  head.path = archive_url(path);
  ApiReply reply;
  PARE_TRY(reply, api_->send(head));
  if (reply.status == 404) return std::nullopt;
  if (!reply.ok()) {
    return fail(ErrorKind::kHost, "cannot look at " + path + " in the image: " + reply.message());
  }
  Json json =
      Json::parse(decode_base64(reply.headers["x-docker-container-path-stat"]), nullptr, false);
  auto stat = base::read_json("the daemon's answer on " + path, [&] {
    return Stat{json.at("mode").get<uint64_t>(), json.value("linkTarget", "")};
  });
  if (!stat) return tl::unexpected(stat.error());
  return *stat;
}

// The daemon resolves all components but the last, and says where a link in the end leads.
Result<std::string> ImageView::follow(const std::string& path) const {
  std::string at = path;
  for (int hops = 0; hops < 8; ++hops) {
    std::optional<Stat> found;
    PARE_TRY(found, stat_once(at));
    if (!found || (found->mode & kModeSymlink) == 0 || found->link_target.empty()) return at;
    at = found->link_target;
  }
  return at;
}

Result<std::optional<ImagePath>> ImageView::stat(const std::string& path) const {
  std::string at;
  PARE_TRY(at, follow(path));
  std::optional<Stat> found;
  PARE_TRY(found, stat_once(at));
  if (!found || (found->mode & kModeSymlink) != 0) return std::nullopt;
  return ImagePath{(found->mode & kModeDirectory) != 0, (found->mode & 0111) != 0};
}

Result<std::optional<ImageView::Content>> ImageView::archive(const std::string& path,
                                                             bool with_content) const {
  std::string at;
  PARE_TRY(at, follow(path));
  std::string bytes;
  Result<std::optional<TarEntry>> entry = std::nullopt;
  ApiRequest get;
  get.path = archive_url(at);
  get.sink = [&](std::string_view piece) {
    bytes += piece;
    if (!entry || !*entry) entry = first_tar_entry(bytes);
    if (!entry || bytes.size() > kMostBytes) return false;
    bool whole = *entry && (!with_content || bytes.size() >= (*entry)->offset + (*entry)->size);
    return !whole;
  };
  ApiReply reply;
  PARE_TRY(reply, api_->send(get));
  if (reply.status == 404) return std::nullopt;
  if (!reply.ok()) {
    return fail(ErrorKind::kHost, "cannot read " + path + " in the image: " + reply.message());
  }
  if (!entry) return tl::unexpected(entry.error());
  if (!*entry) return fail(ErrorKind::kUnread, "the archive of " + path + " in the image is cut");
  Content content{**entry, {}};
  if (with_content) {
    if (bytes.size() < content.entry.offset + content.entry.size) {
      return fail(ErrorKind::kUnread, path + " in the image could not be read to its end");
    }
    content.bytes = bytes.substr(content.entry.offset, content.entry.size);
  }
  return content;
}

Result<std::string> ImageView::read(const std::string& path) const {
  std::optional<Content> content;
  PARE_TRY(content, archive(path, true));
  if (!content || content->entry.type != '0') {
    return fail(ErrorKind::kUsage, "the image has no file " + path);
  }
  return std::move(content->bytes);
}

Result<std::optional<std::pair<uint32_t, uint32_t>>> ImageView::owner(
    const std::string& path) const {
  std::optional<Content> content;
  PARE_TRY(content, archive(path, false));
  if (!content) return std::nullopt;
  return std::pair{content->entry.uid, content->entry.gid};
}

std::string ImageView::volume_directory(const std::string& path) const {
  auto found = volumes_.find(path);
  if (found == volumes_.end() || access(found->second.c_str(), F_OK) != 0) return "";
  return found->second;
}

}  // namespace pare::engine
