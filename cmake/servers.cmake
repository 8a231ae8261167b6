# data/servers/*.json is compiled into pare_target: a new server is a new file, not code.
file(GLOB server_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/data/servers/*.json)
set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${server_files})
set(server_rows "")
foreach(server_file ${server_files})
  get_filename_component(server_name ${server_file} NAME)
  file(READ ${server_file} server_text)
  string(APPEND server_rows "    {\"${server_name}\", R\"pare(${server_text})pare\"},\n")
endforeach()
set(server_source ${CMAKE_BINARY_DIR}/generated/servers_data.cc)
file(CONFIGURE OUTPUT ${server_source} @ONLY CONTENT [=[
// Generated from data/servers/*.json by cmake/servers.cmake.
#include "target/servers.h"

namespace pare::target {
const std::vector<ServerFile>& embedded_server_files() {
  static const std::vector<ServerFile> kFiles = {
@server_rows@  };
  return kFiles;
}
}  // namespace pare::target
]=])
target_sources(pare_target PRIVATE ${server_source})
