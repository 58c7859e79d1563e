# What every target of the house shares: warnings, sanitizers, and how a test is declared. Each room looks for its own libraries.
find_package(PkgConfig REQUIRED)

add_library(jobcast_options INTERFACE)
target_compile_options(jobcast_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -fno-strict-aliasing
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Wold-style-cast>
  # From 13 on g++ takes the members of an empty std::optional that is reset for ones that may be used uninitialised.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>>:-Wno-maybe-uninitialized>
  $<$<BOOL:${JOBCAST_WERROR}>:-Werror>)
target_include_directories(jobcast_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
if(JOBCAST_SANITIZE)
  target_compile_options(jobcast_options INTERFACE -fsanitize=${JOBCAST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(jobcast_options INTERFACE -fsanitize=${JOBCAST_SANITIZE})
  if(JOBCAST_SANITIZE MATCHES thread)
    # g++'s TSan does not see a plain memcpy that was made inline.
    target_compile_options(jobcast_options INTERFACE -fno-builtin)
    # It does not follow fences either, and says so at each: their place is proven by the models in tests/ipc/models.
    target_compile_options(jobcast_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  endif()
endif()
if(JOBCAST_FUZZ)
  target_compile_options(jobcast_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(JOBCAST_COVERAGE)
  target_compile_options(jobcast_options INTERFACE --coverage -O0)
  target_link_options(jobcast_options INTERFACE --coverage)
endif()
link_libraries(jobcast_options)

# What TSan is run on: `./dev test` builds no more of the house under it.
add_custom_target(concurrent_tests)

# jobcast_test(name SOURCES a.cpp b.cpp LIBS jobcast_base [LABELS concurrent])
# One CMocka executable and one CTest of the same name. LABELS concurrent puts it under TSan as well.
function(jobcast_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LIBS} PkgConfig::CMOCKA)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  if("concurrent" IN_LIST T_LABELS)
    add_dependencies(concurrent_tests ${name})
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "unit;${T_LABELS}"
    ENVIRONMENT "JOBCAST_BIN=${CMAKE_BINARY_DIR}/bin;JOBCAST_LIB=${CMAKE_BINARY_DIR}/lib;JOBCAST_SOURCE=${CMAKE_SOURCE_DIR}")
endfunction()

# jobcast_timing(TEST...): these measure time or processor time. They run alone, and get a second try in CI (tests/run), which what proves
# something must not have.
function(jobcast_timing)
  foreach(name ${ARGN})
    get_test_property(${name} LABELS labels)
    if(labels MATCHES "concurrent|crash|model")
      message(FATAL_ERROR "${name} is labelled ${labels}: it proves something, and a second try would hide what it found")
    endif()
    set_property(TEST ${name} APPEND PROPERTY LABELS timing)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
  endforeach()
endfunction()

# jobcast_fuzzer(fuzz_name SOURCES a.cpp LIBS jobcast_base)
# A libFuzzer program, built with -DJOBCAST_FUZZ=ON only; its seeds are the files of tests/fuzz/corpus/name. `./dev fuzz name [SECONDS]`
# runs it; as a test it reads its seeds once.
function(jobcast_fuzzer target)
  if(NOT JOBCAST_FUZZ)
    return()
  endif()
  cmake_parse_arguments(F "" "" "SOURCES;LIBS" ${ARGN})
  string(REGEX REPLACE "^fuzz_" "" name ${target})
  add_executable(${target} ${F_SOURCES})
  target_link_libraries(${target} PRIVATE ${F_LIBS})
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
  add_test(NAME ${target} COMMAND ${target} -runs=0 ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(${target} PROPERTIES TIMEOUT 120 LABELS fuzz)
endfunction()
