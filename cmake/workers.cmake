# What runs JavaScript. src/workers is two libraries: verge_workers (processes, frames: no V8) and verge_realm (realm*.cc:
# V8, which only verge-isolate and tests link). V8 is Debian's libnode, in a prefix that ./dev deps makes, or installed.
set(VERGE_LIBNODE ${CMAKE_SOURCE_DIR}/build/deps/libnode)
if(CMAKE_CROSSCOMPILING)
  set(VERGE_LIBNODE ${CMAKE_SYSROOT})
endif()
find_path(V8_INCLUDE v8.h NO_DEFAULT_PATH PATHS ${VERGE_LIBNODE}/usr/include/node /usr/include/node)
file(GLOB libnode_candidates ${VERGE_LIBNODE}/usr/lib/*/libnode.so /usr/lib/*/libnode.so)
if(NOT V8_INCLUDE OR NOT libnode_candidates)
  message(FATAL_ERROR "V8 is not here: run ./dev deps, which unpacks Debian's libnode into build/deps")
endif()
list(GET libnode_candidates 0 V8_LIBRARY)
add_library(verge_v8 INTERFACE)
find_path(V8_INSPECTOR_INCLUDE v8-inspector.h NO_DEFAULT_PATH
          PATHS ${VERGE_LIBNODE}/usr/include/nodejs/deps/v8/include /usr/include/nodejs/deps/v8/include REQUIRED)
target_include_directories(verge_v8 SYSTEM INTERFACE ${V8_INCLUDE} ${V8_INSPECTOR_INCLUDE})
target_link_libraries(verge_v8 INTERFACE ${V8_LIBRARY} Threads::Threads)
get_filename_component(v8_folder ${V8_LIBRARY} DIRECTORY)
target_link_options(verge_v8 INTERFACE -Wl,-rpath,${v8_folder})

# The bundle of src/workers/web, by esbuild.
set(VERGE_WEB ${CMAKE_SOURCE_DIR}/src/workers/web)
set(VERGE_WEB_PACKAGES ${CMAKE_SOURCE_DIR}/build/deps/web/node_modules)
find_program(ESBUILD esbuild NO_DEFAULT_PATH PATHS ${VERGE_WEB_PACKAGES}/@esbuild/linux-x64/bin
             ${VERGE_WEB_PACKAGES}/@esbuild/linux-arm64/bin)
if(NOT ESBUILD)
  message(FATAL_ERROR "esbuild is not here: run ./dev deps")
endif()
file(GLOB web_sources CONFIGURE_DEPENDS ${VERGE_WEB}/*.js ${VERGE_WEB}/*.cjs)
set(web_bundle ${CMAKE_BINARY_DIR}/web_platform.js)
add_custom_command(
  OUTPUT ${web_bundle}
  COMMAND ${CMAKE_COMMAND} -E env NODE_PATH=${VERGE_WEB_PACKAGES} ${ESBUILD} ${VERGE_WEB}/main.js --bundle
          --format=iife --global-name=platform --target=chrome102 --minify-whitespace --keep-names
          --alias:tr46=${VERGE_WEB}/idna_on_demand.cjs --alias:idna-tables=${VERGE_WEB_PACKAGES}/tr46/index.js
          --banner:js=\(function\(host\){ --footer:js=return\ platform.default\;}\) --log-level=warning
          --outfile=${web_bundle} --metafile=${CMAKE_BINARY_DIR}/web_platform_modules.json
  DEPENDS ${web_sources} ${CMAKE_SOURCE_DIR}/build/deps/web/package-lock.json
  COMMENT "bundling the web platform" VERBATIM)

# Without RTTI, as V8 is: libnode exports no typeinfo of the classes that are derived from. A precompiled header of its
# own, since it must be compiled alike.
function(verge_without_rtti target)
  target_compile_options(${target} PRIVATE -fno-rtti)
  target_precompile_headers(${target} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h)
endfunction()

# Web Cryptography on bytes: no V8.
file(GLOB crypto_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/workers/crypto_*.cc)
set(crypto_tests ${crypto_sources})
list(FILTER crypto_tests INCLUDE REGEX "_test\\.cc$")
list(FILTER crypto_sources EXCLUDE REGEX "_test\\.cc$")
add_library(verge_webcrypto STATIC ${crypto_sources})
verge_without_rtti(verge_webcrypto)
target_include_directories(verge_webcrypto PUBLIC ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(verge_webcrypto PUBLIC verge_base PRIVATE verge_openssl)
if(BUILD_TESTING)
  add_executable(webcrypto_test ${crypto_tests})
  target_precompile_headers(webcrypto_test REUSE_FROM verge_precompiled)
  target_include_directories(webcrypto_test PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(webcrypto_test PRIVATE verge_webcrypto GTest::gtest_main GTest::gmock)
  gtest_discover_tests(webcrypto_test TEST_PREFIX "webcrypto." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
endif()

file(GLOB realm_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/workers/realm*.cc)
set(realm_tests ${realm_sources})
list(FILTER realm_tests INCLUDE REGEX "_test\\.cc$")
list(FILTER realm_sources EXCLUDE REGEX "(_test|_main|_built_in)\\.cc$")
add_library(verge_realm STATIC ${realm_sources})
verge_without_rtti(verge_realm)
target_include_directories(verge_realm PUBLIC ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(verge_realm PUBLIC verge_base verge_compress verge_webcrypto verge_v8)

add_executable(verge-snapshot ${CMAKE_SOURCE_DIR}/src/workers/realm_snapshot_main.cc)
verge_without_rtti(verge-snapshot)
target_link_libraries(verge-snapshot PRIVATE verge_realm)
set(snapshot_source ${CMAKE_BINARY_DIR}/web_snapshot.S)
add_custom_command(OUTPUT ${snapshot_source} COMMAND verge-snapshot ${web_bundle} ${snapshot_source}
                   DEPENDS verge-snapshot ${web_bundle} COMMENT "making the startup snapshot" VERBATIM)
enable_language(ASM)
add_library(verge_snapshot STATIC ${CMAKE_SOURCE_DIR}/src/workers/realm_built_in.cc ${snapshot_source})
verge_without_rtti(verge_snapshot)
target_link_libraries(verge_snapshot PUBLIC verge_realm)

if(BUILD_TESTING AND realm_tests)
  add_executable(realm_test ${realm_tests})
  verge_without_rtti(realm_test)
  target_include_directories(realm_test PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(realm_test PRIVATE verge_snapshot GTest::gtest_main GTest::gmock)
  gtest_discover_tests(realm_test TEST_PREFIX "realm." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
endif()

if(BUILD_TESTING)
  add_executable(verge-web-shell ${CMAKE_SOURCE_DIR}/tests/conformance/web_shell.cc)
  verge_without_rtti(verge-web-shell)
  target_link_libraries(verge-web-shell PRIVATE verge_snapshot)
  add_test(NAME realm.applications COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/conformance/test_applications.py)
  set_tests_properties(realm.applications PROPERTIES TIMEOUT 300 ENVIRONMENT "VERGE_WEB_SHELL=$<TARGET_FILE:verge-web-shell>")
endif()
