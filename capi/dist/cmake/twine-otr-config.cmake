# The imported targets of TWINE-OTR, all GLOBAL:
#
#   twine-otr::expanded   round keys expanded
#   twine-otr::compact    round keys compact: less RAM, more time
#   twine-otr::twine-otr  the one that TWINE_OTR_KEYS names
#
# Found are the archives for the C compiler's processor (the C++ compiler's if there is no C), with the flags in CMAKE_C_FLAGS and
# add_compile_options before this. For a compiler that does not preprocess with -E and -P, set TWINE_OTR_TARGET.

# A project can have set them as variables, which a CMake before 3.21 would forget here.
if(NOT DEFINED TWINE_OTR_TARGET)
    set(TWINE_OTR_TARGET "" CACHE STRING "The folder in lib/ of TWINE-OTR's archives; empty for that of the compiler")
endif()
if(NOT DEFINED TWINE_OTR_KEYS)
    set(TWINE_OTR_KEYS "expanded" CACHE STRING "The round keys of twine-otr::twine-otr: expanded or compact")
    set_property(CACHE TWINE_OTR_KEYS PROPERTY STRINGS expanded compact)
endif()

function(_twine_otr_find_target root result)
    foreach(language C CXX)
        if(NOT CMAKE_${language}_COMPILER)
            continue()
        endif()
        separate_arguments(flags NATIVE_COMMAND "${CMAKE_${language}_COMPILER_ARG1} ${CMAKE_${language}_FLAGS}")
        if(CMAKE_${language}_COMPILER_TARGET)
            list(APPEND flags "--target=${CMAKE_${language}_COMPILER_TARGET}")
        endif()
        get_directory_property(options COMPILE_OPTIONS)
        # Expressions have no value yet.
        list(FILTER options EXCLUDE REGEX "\\$<")
        if(language STREQUAL "C")
            set(source c)
        else()
            set(source c++)
        endif()
        execute_process(
            COMMAND "${CMAKE_${language}_COMPILER}" ${flags} ${options} -E -P -DTWINE_OTR_PRINT_TARGET -x ${source}
                    "${root}/include/twine-otr-target.h"
            OUTPUT_VARIABLE printed
            ERROR_QUIET)
        if(printed MATCHES "\"([a-z0-9_.-]+)\"")
            set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
        endif()
        return()
    endforeach()
endfunction()

function(_twine_otr_import reason)
    get_filename_component(root "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../.." ABSOLUTE)
    set(target "${TWINE_OTR_TARGET}")
    if(NOT target)
        _twine_otr_find_target("${root}" target)
    endif()
    if(NOT target)
        set(${reason} "TWINE-OTR has no archive for this compiler and its flags; TWINE_OTR_TARGET chooses one" PARENT_SCOPE)
        return()
    endif()
    if(NOT TWINE_OTR_KEYS MATCHES "^(expanded|compact)$")
        set(${reason} "TWINE_OTR_KEYS is neither expanded nor compact" PARENT_SCOPE)
        return()
    endif()
    string(REGEX REPLACE "[-.]" "_" archive "${target}")
    foreach(keys expanded compact)
        if(keys STREQUAL "expanded")
            set(file "${root}/lib/${target}/libtwine-otr.a")
            set(definitions "TWINE_OTR_ARCHIVE=${archive}")
        else()
            set(file "${root}/lib/${target}/libtwine-otr-compact.a")
            set(definitions "TWINE_OTR_ARCHIVE=${archive}" TWINE_OTR_KEYS_COMPACT)
        endif()
        if(NOT EXISTS "${file}")
            set(${reason} "${file} is missing" PARENT_SCOPE)
            return()
        endif()
        if(NOT TARGET twine-otr::${keys})
            add_library(twine-otr::${keys} STATIC IMPORTED GLOBAL)
            set_target_properties(twine-otr::${keys} PROPERTIES
                IMPORTED_LOCATION "${file}"
                INTERFACE_INCLUDE_DIRECTORIES "${root}/include"
                INTERFACE_COMPILE_DEFINITIONS "${definitions}")
        endif()
    endforeach()
    if(NOT TARGET twine-otr::twine-otr)
        add_library(twine-otr::twine-otr INTERFACE IMPORTED GLOBAL)
        set_target_properties(twine-otr::twine-otr PROPERTIES INTERFACE_LINK_LIBRARIES "twine-otr::${TWINE_OTR_KEYS}")
    endif()
endfunction()

set(_twine_otr_reason "")
_twine_otr_import(_twine_otr_reason)
foreach(_twine_otr_component IN LISTS twine-otr_FIND_COMPONENTS)
    if(TARGET twine-otr::${_twine_otr_component})
        set(twine-otr_${_twine_otr_component}_FOUND TRUE)
    elseif(twine-otr_FIND_REQUIRED_${_twine_otr_component} AND NOT _twine_otr_reason)
        set(_twine_otr_reason "the components are expanded and compact, not ${_twine_otr_component}")
    endif()
endforeach()
if(NOT _twine_otr_reason)
    set(twine-otr_FOUND TRUE)
else()
    set(twine-otr_FOUND FALSE)
    set(twine-otr_NOT_FOUND_MESSAGE "${_twine_otr_reason}")
endif()
