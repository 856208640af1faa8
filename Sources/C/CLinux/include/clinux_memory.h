// Resident memory of the program's own files.
#pragma once

// Lets go of the pages of code and constants that were mapped in while starting. They are clean
// pages of files: what is still used comes back from the page cache at the next touch.
void clinux_release_program_pages(void);
