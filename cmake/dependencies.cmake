# Every third-party library, each with the one folder that includes it (tests/layering checks this) and the record of
# why it is here (docs/decisions/0002-dependencies.md). All are Debian packages installed by ./dev deps.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# base/: text formatting and logging, hashing.
find_package(fmt REQUIRED)
add_library(verge_fmt INTERFACE)
target_link_libraries(verge_fmt INTERFACE fmt::fmt)
find_package(spdlog REQUIRED)
add_library(verge_spdlog INTERFACE)
target_link_libraries(verge_spdlog INTERFACE spdlog::spdlog)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
add_library(verge_xxhash INTERFACE)
target_link_libraries(verge_xxhash INTERFACE PkgConfig::xxhash)

# net/: TLS. crypto/: ciphers and key derivation of libcrypto.
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET libssl>=3.0 libcrypto>=3.0)
add_library(verge_openssl INTERFACE)
target_link_libraries(verge_openssl INTERFACE PkgConfig::openssl)

# net/: the frames of HTTP/2.
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
add_library(verge_nghttp2 INTERFACE)
target_link_libraries(verge_nghttp2 INTERFACE PkgConfig::nghttp2)

# rules/ and node/: JSON. planner/: GeoJSON.
pkg_check_modules(simdjson REQUIRED IMPORTED_TARGET simdjson)
add_library(verge_simdjson INTERFACE)
target_link_libraries(verge_simdjson INTERFACE PkgConfig::simdjson)

# compress/: what climbs, and content codings.
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
add_library(verge_zstd INTERFACE)
target_link_libraries(verge_zstd INTERFACE PkgConfig::zstd)
pkg_check_modules(brotli REQUIRED IMPORTED_TARGET libbrotlienc libbrotlidec)  # the decoder: tests
add_library(verge_brotli INTERFACE)
target_link_libraries(verge_brotli INTERFACE PkgConfig::brotli)
pkg_check_modules(zlib REQUIRED IMPORTED_TARGET zlib)
add_library(verge_zlib INTERFACE)
target_link_libraries(verge_zlib INTERFACE PkgConfig::zlib)

# payloads/: what payloads that are not JSON say.
pkg_check_modules(cbor REQUIRED IMPORTED_TARGET libcbor)
add_library(verge_cbor INTERFACE)
target_link_libraries(verge_cbor INTERFACE PkgConfig::cbor)
pkg_check_modules(protobuf REQUIRED IMPORTED_TARGET protobuf)
add_library(verge_protobuf INTERFACE)
target_link_libraries(verge_protobuf INTERFACE PkgConfig::protobuf)

# geo/: where addresses are.
pkg_check_modules(maxminddb REQUIRED IMPORTED_TARGET libmaxminddb)
add_library(verge_maxminddb INTERFACE)
target_link_libraries(verge_maxminddb INTERFACE PkgConfig::maxminddb)

# jetstream/: its headers only. The library itself is loaded with dlopen on first use.
find_path(NATS_INCLUDE nats/nats.h REQUIRED)
add_library(verge_nats INTERFACE)
target_include_directories(verge_nats SYSTEM INTERFACE ${NATS_INCLUDE})

# planner/: its header only. The library itself is loaded with dlopen on first use.
find_path(CBC_INCLUDE coin/Cbc_C_Interface.h REQUIRED)
add_library(verge_cbc INTERFACE)
target_include_directories(verge_cbc SYSTEM INTERFACE ${CBC_INCLUDE})

# node/: configuration files.
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
add_library(verge_tomlplusplus INTERFACE)
target_link_libraries(verge_tomlplusplus INTERFACE PkgConfig::tomlplusplus)

# cli/: the command line.
find_package(CLI11 REQUIRED)
add_library(verge_cli11 INTERFACE)
target_link_libraries(verge_cli11 INTERFACE CLI11::CLI11)
