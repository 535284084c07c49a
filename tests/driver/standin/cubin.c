// The kernels of a cubin and the sizes of their arguments, from the file that NVRTC made: a 64-bit ELF whose
// section ".nv.info.NAME" lists, for each argument, its number, its offset and its size (EIATTR_KPARAM_INFO).
#include "standin.h"
#include <elf.h>

enum {
    FORMAT_BYTES = 0x04,
    FORMAT_VALUE = 0x01,
    FORMAT_BYTE = 0x02,
    FORMAT_SHORT = 0x03,
    KPARAM_INFO = 0x17
};

static const unsigned char *section(const unsigned char *image, const char *name, size_t *bytes) {
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + header->e_shoff);
    const char *names = (const char *)image + sections[header->e_shstrndx].sh_offset;
    for (int i = 0; i < header->e_shnum; i++)
        if (!strcmp(names + sections[i].sh_name, name)) {
            *bytes = sections[i].sh_size;
            return image + sections[i].sh_offset;
        }
    return NULL;
}

static uint32_t word(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

int cubin_arguments(const void *image, const char *kernel, Argument *arguments) {
    char name[128];
    size_t bytes;
    if (memcmp(image, ELFMAG, SELFMAG)) return -1;
    snprintf(name, sizeof name, ".text.%s", kernel);
    if (!section(image, name, &bytes)) return -1;
    snprintf(name, sizeof name, ".nv.info.%s", kernel);
    const unsigned char *at = section(image, name, &bytes);
    const unsigned char *end = at ? at + bytes : NULL;
    int n = 0;
    while (at && at + 4 <= end) {
        const unsigned format = at[0], attribute = at[1], size = at[2] | at[3] << 8;
        if (format == FORMAT_BYTES && attribute == KPARAM_INFO) {
            const int number = at[8] | at[9] << 8;
            if (number >= MAX_ARGUMENTS) return -1;
            arguments[number] = (Argument){at[10] | at[11] << 8, word(at + 12) >> 18};
            if (number >= n) n = number + 1;
        }
        at += format == FORMAT_BYTES ? 4 + size : 4;
    }
    return n;
}
