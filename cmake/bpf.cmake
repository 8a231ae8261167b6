# src/FOLDER/bpf/*.bpf.c -> BPF objects -> one libbpf skeleton header each (FOLDER/bpf/NAME.skel.h).
find_program(BPF_CLANG clang REQUIRED)
find_program(BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)
add_library(pare_bpf INTERFACE)
set(skeletons)
file(GLOB bpf_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*/bpf/*.bpf.c)
file(GLOB bpf_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*/bpf/*.h
     ${CMAKE_SOURCE_DIR}/src/*/*wire.h)
foreach(source ${bpf_sources})
  get_filename_component(stem ${source} NAME_WE)
  file(RELATIVE_PATH place ${CMAKE_SOURCE_DIR}/src ${source})
  get_filename_component(place ${CMAKE_BINARY_DIR}/gen/${place} DIRECTORY)
  file(MAKE_DIRECTORY ${place})
  set(object ${place}/${stem}.bpf.o)
  set(skeleton ${place}/${stem}.skel.h)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -g -O2 -Wall -Werror -D__TARGET_ARCH_x86
            -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -I${CMAKE_SOURCE_DIR}/src -c ${source} -o ${object}
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${stem}_bpf > ${skeleton}
    DEPENDS ${source} ${bpf_headers}
    VERBATIM)
  list(APPEND skeletons ${skeleton})
endforeach()
add_custom_target(bpf_skeletons DEPENDS ${skeletons})
add_dependencies(pare_bpf bpf_skeletons)
target_include_directories(pare_bpf SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/gen)
target_link_libraries(pare_bpf INTERFACE PkgConfig::BPF)
