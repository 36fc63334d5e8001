// What the harness adds to Verilator's runtime: where $readmemh looks, and failures as exceptions.
#pragma once

#include <string>

namespace systole {

// While it lives, relative names of $readmemh on this thread are looked up in `folder`.
class RomFolder {
public:
    explicit RomFolder(const char* folder);
    ~RomFolder();
    RomFolder(const RomFolder&) = delete;
    RomFolder& operator=(const RomFolder&) = delete;
};

}  // namespace systole
