# What `cmake --install` puts where. The places that the programs look into themselves stand in engine/cli/build_info.h.in.
include(GNUInstallDirs)

# The command's manual page and its completions are made from its own table of commands.
set(made ${CMAKE_BINARY_DIR}/made)
foreach(page "jobcast.1|help|--man" "jobcast.bash|completion|bash" "_jobcast|completion|zsh" "jobcast.fish|completion|fish")
  string(REPLACE "|" ";" words ${page})
  list(POP_FRONT words file)
  add_custom_command(OUTPUT ${made}/${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${made}
    COMMAND jobcast ${words} > ${made}/${file} DEPENDS jobcast VERBATIM)
  list(APPEND made_files ${made}/${file})
endforeach()
add_custom_target(jobcast_made ALL DEPENDS ${made_files})

install(TARGETS jobcast jobcastd jobcast-host RUNTIME)
install(TARGETS plo-equity RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/jobcast)
install(TARGETS protocol_jobcast LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/jobcast)
install(TARGETS jobcast_worker jobcast_client ARCHIVE)
install(DIRECTORY include/jobcast TYPE INCLUDE)
install(DIRECTORY client DESTINATION ${CMAKE_INSTALL_DATADIR}/jobcast)
install(DIRECTORY conf DESTINATION ${CMAKE_INSTALL_DATADIR}/jobcast)  # to be copied to /etc: an upgrade must not overwrite what an operator wrote
install(DIRECTORY docs/ TYPE DOC)
install(FILES LICENSE README.md TYPE DOC)
install(FILES ${made}/jobcast.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES man/jobcastd.8 man/jobcast-host.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${made}/jobcast.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME jobcast)
install(FILES ${made}/_jobcast DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${made}/jobcast.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
