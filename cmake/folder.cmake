# verge_folder(NAME LINK libs...): one static library a folder of src/, from its *.cc, and one test program from its
# *_test.cc, registered with CTest. main.cc files belong to programs, not to the library. PRECOMPILE headers...: what
# nearly all of its files include besides.
#
# verge_program(NAME SOURCE file LINK libs...): an executable left in VERGE_BINARY_DIR.

find_package(GTest REQUIRED)
include(GoogleTest)

# One precompiled header for the standard library and fmt, shared by all targets.
add_library(verge_precompiled OBJECT ${CMAKE_SOURCE_DIR}/cmake/precompiled.cc)
target_precompile_headers(verge_precompiled PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h)
target_link_libraries(verge_precompiled PRIVATE verge_fmt)

# And one for tests, with googletest.
add_library(verge_precompiled_tests OBJECT ${CMAKE_SOURCE_DIR}/cmake/precompiled.cc)
target_precompile_headers(verge_precompiled_tests PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h ${CMAKE_SOURCE_DIR}/cmake/precompiled_tests.h)
target_link_libraries(verge_precompiled_tests PRIVATE verge_fmt GTest::gtest_main GTest::gmock)

function(verge_folder name)
  cmake_parse_arguments(ARG "" "" "LINK;PRECOMPILE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
  if(NOT sources)
    set(kind INTERFACE)
    set(scope INTERFACE)
    add_library(verge_${name} INTERFACE)
  else()
    set(scope PUBLIC)
    add_library(verge_${name} STATIC ${sources})
    if(ARG_PRECOMPILE)
      target_precompile_headers(verge_${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h ${ARG_PRECOMPILE})
    else()
      target_precompile_headers(verge_${name} REUSE_FROM verge_precompiled)
    endif()
  endif()
  target_include_directories(verge_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(verge_${name} ${scope} ${ARG_LINK})
  if(tests AND BUILD_TESTING)
    add_executable(${name}_test ${tests})
    if(ARG_PRECOMPILE)
      target_precompile_headers(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h ${ARG_PRECOMPILE}
                                ${CMAKE_SOURCE_DIR}/cmake/precompiled_tests.h)
    else()
      target_precompile_headers(${name}_test REUSE_FROM verge_precompiled_tests)
    endif()
    target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name}_test PRIVATE verge_${name} GTest::gtest_main GTest::gmock)
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
  endif()
endfunction()

function(verge_program name)
  cmake_parse_arguments(ARG "" "SOURCE" "LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCE})
  target_precompile_headers(${name} REUSE_FROM verge_precompiled)
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${VERGE_BINARY_DIR})
endfunction()
