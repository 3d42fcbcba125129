#include "core/program.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace chiasm {

namespace {

using namespace std::string_view_literals;
using Bytes = std::span<const std::byte>;

/// What lies at an address that the loader tells, as a number.
template <class T>
const T* at(ElfW(Addr) address) {
  return reinterpret_cast<const T*>(address);  // NOLINT(performance-no-int-to-ptr)
}

Bytes segment(const dl_phdr_info& file, const ElfW(Phdr) & header) {
  return {at<std::byte>(file.dlpi_addr + header.p_vaddr), header.p_memsz};
}

/// The build id among the notes of a segment; empty without one.
Bytes build_id(Bytes notes, std::size_t alignment) {
  constexpr std::string_view kGnu = "GNU\0"sv;
  const auto padded = [alignment](std::size_t n) { return (n + alignment - 1) & ~(alignment - 1); };
  ElfW(Nhdr) note;
  while (notes.size() >= sizeof(note)) {
    std::memcpy(&note, notes.data(), sizeof(note));
    const std::size_t content = padded(sizeof(note) + note.n_namesz);
    const std::size_t end = padded(content + note.n_descsz);
    if (end > notes.size()) break;
    const std::string_view owner(reinterpret_cast<const char*>(notes.data()) + sizeof(note),
                                 note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && owner == kGnu) {
      return notes.subspan(content, note.n_descsz);
    }
    notes = notes.subspan(end);
  }
  return {};
}

ContentHash hash_of(const dl_phdr_info& file) {
  const std::span headers(file.dlpi_phdr, file.dlpi_phnum);
  for (const auto& header : headers) {
    if (header.p_type != PT_NOTE) continue;
    const Bytes id = build_id(segment(file, header), header.p_align == 8 ? 8 : 4);
    if (!id.empty()) return content_hash(id);
  }
  std::vector<ContentHash> parts;
  for (const auto& header : headers) {
    const bool read_only = (header.p_flags & PF_R) != 0 && (header.p_flags & PF_W) == 0;
    if (header.p_type == PT_LOAD && read_only) parts.push_back(content_hash(segment(file, header)));
  }
  return content_hash(std::as_bytes(std::span(parts)));
}

std::vector<std::string> needed_by(const dl_phdr_info& file) {
  std::vector<std::string> names;
  for (const auto& header : std::span(file.dlpi_phdr, file.dlpi_phnum)) {
    if (header.p_type != PT_DYNAMIC) continue;
    const auto* const table = at<ElfW(Dyn)>(file.dlpi_addr + header.p_vaddr);
    ElfW(Addr) texts = 0;
    for (const auto* entry = table; entry->d_tag != DT_NULL; entry++) {
      if (entry->d_tag == DT_STRTAB) texts = entry->d_un.d_ptr;
    }
    if (texts < file.dlpi_addr) texts += file.dlpi_addr;  // not every loader writes the sum there
    for (const auto* entry = table; entry->d_tag != DT_NULL; entry++) {
      if (entry->d_tag == DT_NEEDED) names.emplace_back(at<char>(texts + entry->d_un.d_val));
    }
  }
  return names;
}

bool contains(const dl_phdr_info& file, const void* address) {
  const auto place = reinterpret_cast<ElfW(Addr)>(address);
  return std::ranges::any_of(std::span(file.dlpi_phdr, file.dlpi_phnum), [&](const auto& header) {
    const ElfW(Addr) begin = file.dlpi_addr + header.p_vaddr;
    return header.p_type == PT_LOAD && begin <= place && place < begin + header.p_memsz;
  });
}

/// What has been found among the loaded files.
struct Search {
  std::vector<std::string> needed;  // names of the libraries that ours calls
  std::vector<ContentHash> hashes;  // of ours, then of each of them
};

int find_ours(dl_phdr_info* file, std::size_t, void* found) {
  if (!contains(*file, reinterpret_cast<const void*>(&program_hash))) return 0;
  auto& search = *static_cast<Search*>(found);
  search.needed = needed_by(*file);
  search.hashes.resize(1 + search.needed.size());
  search.hashes[0] = hash_of(*file);
  return 1;  // no further
}

int find_needed(dl_phdr_info* file, std::size_t, void* found) {
  auto& search = *static_cast<Search*>(found);
  const std::string_view path = file->dlpi_name == nullptr ? "" : file->dlpi_name;
  const auto at = std::ranges::find(search.needed, path.substr(path.rfind('/') + 1));
  if (at == search.needed.end()) return 0;
  search.hashes[std::size_t(1 + at - search.needed.begin())] = hash_of(*file);
  return 0;
}

ContentHash compute() {
  Search search;
  dl_iterate_phdr(find_ours, &search);
  dl_iterate_phdr(find_needed, &search);
  return content_hash(std::as_bytes(std::span(search.hashes)));
}

}  // namespace

ContentHash program_hash() {
  static const ContentHash hash = compute();
  return hash;
}

}  // namespace chiasm
