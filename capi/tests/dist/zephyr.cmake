# Runs the module's CMakeLists.txt with stand-ins for Zephyr's functions, and prints what they are told:
#
#   cmake -DMODULE=.../zephyr -DCONFIG_...=y -P zephyr.cmake
function(zephyr_compile_definitions)
    message(STATUS "defined ${ARGV}")
endfunction()
function(zephyr_include_directories directory)
    if(NOT EXISTS "${directory}/twine-otr.h")
        message(FATAL_ERROR "no header in ${directory}")
    endif()
endfunction()
function(zephyr_library_import name file)
    if(NOT EXISTS "${file}")
        message(FATAL_ERROR "${file} is missing")
    endif()
    message(STATUS "imported ${file}")
endfunction()
include("${MODULE}/CMakeLists.txt")
