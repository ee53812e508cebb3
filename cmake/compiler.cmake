# How every target is compiled: warnings are errors, the linker is lld, ccache answers repeated compilations.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Verge is built with clang 19 or newer (g++ 12 miscompiles coroutines). Run: ./dev deps")
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Paths below the source folder are made relative, so that all checkouts share results; the sloppiness is what ccache
  # asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${CCACHE}")
endif()
add_link_options(-fuse-ld=lld)

add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Wno-missing-field-initializers -Werror -fno-omit-frame-pointer -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
# char is signed, as on amd64: on ARM it would not be, and bytes from 0x80 up would not be below ' '.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm)")
  add_compile_options(-fsigned-char)
endif()
# ccache can reuse compilations that use a precompiled header only if its time stamps are left out.
add_compile_options(-Xclang -fno-pch-timestamp)

if(VERGE_SANITIZE)
  add_compile_options(-fsanitize=${VERGE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VERGE_SANITIZE})
else()
  add_compile_options(-fstack-protector-strong)
  add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)
  add_link_options(-Wl,-z,relro -Wl,-z,now)
endif()
add_link_options(-Wl,--gc-sections)
add_compile_options(-ffunction-sections -fdata-sections)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
# One setting for libraries and programs alike, so that all share the precompiled header.
add_compile_options(-fPIE)
add_link_options(-pie)
