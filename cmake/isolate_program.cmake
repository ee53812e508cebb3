# verge-isolate: the zygote and isolate processes of a node, beside `verge`, which has no V8. What of src/workers does
# without V8 is verge_workers.
file(GLOB process_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/workers/*.cc)
list(FILTER process_sources EXCLUDE REGEX "/(realm|crypto_)[^/]*\\.cc$")
set(process_tests ${process_sources})
list(FILTER process_tests INCLUDE REGEX "_test\\.cc$")
list(FILTER process_sources EXCLUDE REGEX "(_test|/main)\\.cc$")
add_library(verge_workers STATIC ${process_sources})
target_precompile_headers(verge_workers REUSE_FROM verge_precompiled)
target_link_libraries(verge_workers PUBLIC verge_calls verge_realm)

verge_program(verge-isolate SOURCE src/workers/main.cc LINK verge_workers verge_snapshot)

# A sanitizer needs system calls and memory that the sandbox takes away.
if(BUILD_TESTING AND NOT VERGE_SANITIZE)
  add_executable(workers_test ${process_tests})
  target_precompile_headers(workers_test REUSE_FROM verge_precompiled)
  target_include_directories(workers_test PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(workers_test PRIVATE verge_workers verge_snapshot GTest::gtest_main GTest::gmock)
  gtest_discover_tests(workers_test TEST_PREFIX "workers." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
endif()
