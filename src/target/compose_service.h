// One compose service while it is read: each key becomes options of `docker run`, which the table
// of docker run's options reads.
#pragma once

#include <string>
#include <string_view>

#include "target/compose.h"
#include "target/docker_run_options.h"

namespace pare::target::compose {

class ServiceReader {
 public:
  ServiceReader(const Project& project, const Tree::Entry& service, Reader& reader, Workload& out)
      : project_(project),
        service_(service.value),
        name_(service.key),
        reader_(reader),
        out_(out),
        line_{Target{}, project.environment, {}, {}} {}

  void read();

 private:
  // options
  void option(std::string_view name, const std::string& value, const Tree& at);
  void options(std::string_view name, const Tree& value);
  void tell_remarks(const Tree& tree);
  void read_image();
  void read_words(Keys& keys);

  // environment
  void read_environment(Keys& keys);
  void put(const std::string& name, const std::string& value);
  void pass_through(const std::string& name);
  void read_env_files(const Tree& files);

  // places on the host
  std::string absolute(const std::string& path, const Tree& at) const;
  static bool is_path(const std::string& source);

  // volumes
  void read_volumes(Keys& keys);
  void short_volume(const Tree& item);
  void long_volume(const Tree& item);
  void long_tmpfs(const std::string& path, const Tree* tmpfs, const Tree& item);
  void add_volume(Volume volume, const Tree& item);
  void name_volume(const Tree& definition, Volume* volume);
  void read_tmpfs(Keys& keys);

  // network
  void read_ports(Keys& keys);
  void read_network(Keys& keys);

  // devices and limits
  void read_devices(Keys& keys);
  void add_gpu(const Tree& item);
  void read_limits(Keys& keys);
  void read_deploy(Keys& keys);

  // secrets and configs
  void read_files(Keys& keys, const char* key);
  bool file_text(const Tree& item, const char* key, const std::string& source, std::string* text);

  // the rest
  void drop_extensions(Keys& keys);
  void check_paths();

  const Project& project_;
  const Tree& service_;
  std::string name_;
  Reader& reader_;
  Workload& out_;
  docker_run::Line line_;
};

}  // namespace pare::target::compose
