// Replacements for the parts of Verilator's runtime that would end the process, and $readmemh
// with the checks that Verilator leaves out: a missing file, too few or too many words, digits
// that do not fit. The runtime itself is compiled with VL_USER_FINISH, _STOP, _FATAL and _WARN.
#include "runtime.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "verilated.h"

namespace {

thread_local std::string rom_folder;

[[noreturn]] void fail(const char* file, int line, const char* message) {
    std::string text;
    if (file != nullptr && file[0] != '\0') text = std::string(file) + ":" + std::to_string(line) + ": ";
    throw std::runtime_error(text + message);
}

// The words of a memory image, read for its shape only.
class Image {
public:
    Image(const std::string& path, bool hex) : path_(path), digit_bits_(hex ? 4 : 1) {
        std::ifstream file(path, std::ios::binary);
        text_.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
        if (!file.is_open() || file.bad()) {
            throw std::runtime_error("ROM image `" + path + "` cannot be read; compile the model again");
        }
    }

    // Throws unless the image gives every address of first..last, each a word of at most `bits` bits.
    void check(uint64_t first, uint64_t last, int bits) {
        const uint64_t depth = last - first + 1;
        std::vector<bool> given(depth, false);
        uint64_t address = first, words = 0;
        size_t at = 0;
        while (skip_space(at)) {
            const bool is_address = text_[at] == '@';
            if (is_address) ++at;
            const size_t begin = at;
            while (at < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at])) || text_[at] == '_')) ++at;
            const std::string token = text_.substr(begin, at - begin);
            if (token.empty()) reject("has the character `" + text_.substr(at, 1) + "` where a word belongs");
            if (is_address) {
                address = 0;
                for (const char c : token) address = address * 16 + digit(c, 16);
                continue;
            }
            if (width_of(token) > bits) {
                reject("has the word `" + token + "` at address " + std::to_string(address) + ", memory words have " +
                       std::to_string(bits) + " bits");
            }
            ++words;
            if (address >= first && address <= last) given[address - first] = true;
            if (address < first || address > last) reject_count(words, depth);
            ++address;
        }
        for (const bool present : given) {
            if (!present) reject_count(words, depth);
        }
    }

private:
    [[noreturn]] void reject(const std::string& why) const {
        throw std::runtime_error("ROM image `" + path_ + "` " + why + "; compile the model again");
    }
    [[noreturn]] void reject_count(uint64_t words, uint64_t depth) const {
        reject(words > depth ? "holds more than the " + std::to_string(depth) + " words of its memory"
                             : "holds " + std::to_string(words) + " words, its memory has " + std::to_string(depth));
    }

    // Moves to the next token; false at the end.
    bool skip_space(size_t& at) const {
        while (at < text_.size()) {
            if (std::isspace(static_cast<unsigned char>(text_[at]))) {
                ++at;
            } else if (text_.compare(at, 2, "//") == 0) {
                at = std::min(text_.find('\n', at), text_.size());
            } else if (text_.compare(at, 2, "/*") == 0) {
                const size_t close = text_.find("*/", at + 2);
                at = close == std::string::npos ? text_.size() : close + 2;
            } else {
                return true;
            }
        }
        return false;
    }

    uint64_t digit(char c, int base) const {
        const int lower = std::tolower(static_cast<unsigned char>(c));
        const int value = std::isdigit(lower) ? lower - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
        if (value >= base) reject(std::string("has the character `") + c + "`, which is no digit");
        return static_cast<uint64_t>(value);
    }

    int width_of(const std::string& token) const {
        int width = 0;
        for (const char c : token) {
            if (c == '_') continue;
            const uint64_t value = digit(c, 1 << digit_bits_);
            if (width > 0) {
                width += digit_bits_;
            } else {
                for (uint64_t rest = value; rest != 0; rest >>= 1) ++width;
            }
        }
        return width;
    }

    const std::string path_;
    const int digit_bits_;
    std::string text_;
};

}  // namespace

namespace systole {

RomFolder::RomFolder(const char* folder) { rom_folder = folder; }
RomFolder::~RomFolder() { rom_folder.clear(); }

}  // namespace systole

// Stands in for VL_READMEM_N in the verilated design (readmem.h).
void systole_readmem(bool hex, int bits, QData depth, int array_lsb, const std::string& filename, void* memory,
                     QData start, QData end) {
    const bool absolute = !filename.empty() && filename[0] == '/';
    const std::string path = absolute || rom_folder.empty() ? filename : rom_folder + "/" + filename;
    const QData lowest = static_cast<QData>(array_lsb);
    const QData first = start < lowest ? lowest : start;
    const QData top = lowest + depth - 1;
    Image(path, hex).check(first, end < top ? end : top, bits);
    VL_READMEM_N(hex, bits, depth, array_lsb, path, memory, start, end);
}

void vl_finish(const char* filename, int linenum, const char*) { fail(filename, linenum, "the Verilog called $finish"); }
void vl_stop(const char* filename, int linenum, const char*) { fail(filename, linenum, "the Verilog called $stop"); }
void vl_fatal(const char* filename, int linenum, const char*, const char* message) { fail(filename, linenum, message); }
void vl_warn(const char* filename, int linenum, const char*, const char* message) { fail(filename, linenum, message); }
