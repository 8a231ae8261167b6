# PARE_STATIC: one binary that asks nothing of the system but its kernel. Debian's libcurl is linked
# as an archive; what it offers beside HTTP (LDAP, SSH, RTMP, Kerberos, internationalized names) has
# no archives there, is never called by pare, and is answered by functions that return 0.
option(PARE_STATIC "Link pare statically" OFF)
set(PARE_FMT fmt::fmt)
if(PARE_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  set(OPENSSL_USE_STATIC_LIBS ON)
  set(PARE_FMT fmt::fmt-header-only)  # Debian has no archive of it
endif()

# Completes the archives that pkg-config names; to be called when all are found.
function(pare_complete_archives)
  find_library(CURL_ARCHIVE curl REQUIRED)
  execute_process(COMMAND ${CMAKE_NM} -u ${CURL_ARCHIVE} OUTPUT_VARIABLE undefined ERROR_QUIET
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "(gss|GSS|ldap|ber|RTMP|libssh2|psl|idn2)_[A-Za-z0-9_]+" absent "${undefined}")
  list(REMOVE_DUPLICATES absent)
  set(code "")
  foreach(name ${absent})
    string(APPEND code
      "asm(\".globl ${name}\\n.type ${name}, @function\\n${name}: xor %eax, %eax\\nret\");\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/curl_absent.c CONTENT "@code@" @ONLY)
  add_library(curl_absent STATIC ${CMAKE_BINARY_DIR}/generated/curl_absent.c)
  target_link_libraries(PkgConfig::CURL INTERFACE curl_absent)
  foreach(name nghttp2 ssl crypto zstd brotlidec brotlicommon z)
    find_library(ARCHIVE_${name} ${name} REQUIRED)
    target_link_libraries(PkgConfig::CURL INTERFACE ${ARCHIVE_${name}})
  endforeach()
  find_library(ARCHIVE_elf elf REQUIRED)
  target_link_libraries(PkgConfig::BPF INTERFACE ${ARCHIVE_elf} ${ARCHIVE_z})
endfunction()
