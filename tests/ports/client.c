/*
 * Drives the module as a C program of another system does: a structure of the wrong size or a number of the wrong width
 * shows here and not in Rust. The script that runs it moves the card: a line "move WORD" on standard output asks for
 * that, and a line on standard input says that it is done. Signatures go to files, which OpenSSL verifies.
 *
 * usage: client LIBRARY
 */
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *p11;
static int checks, failures;

#ifdef _WIN32
typedef HMODULE library_t;
typedef HANDLE thread_t;
#define open_library(path) LoadLibraryA(path)
#define symbol(library, name) ((void *)GetProcAddress(library, name))
#define close_library(library) (FreeLibrary(library) != 0)
#else
typedef void *library_t;
typedef pthread_t thread_t;
#define open_library(path) dlopen(path, RTLD_NOW | RTLD_LOCAL)
#define symbol(library, name) dlsym(library, name)
#define close_library(library) (dlclose(library) == 0)
#endif

static void check(const char *what, int holds, unsigned long seen)
{
    checks++;
    if (!holds) {
        failures++;
        printf("FAILED: %s (%#lx)\n", what, seen);
        fflush(stdout);
    }
}

/* Checks that a call returns a value. */
#define RETURNS(call, wanted) \
    do { \
        CK_RV rv_ = (call); \
        check(#call " is " #wanted, rv_ == (CK_RV)(wanted), rv_); \
    } while (0)

static void move_card(const char *word)
{
    char line[16];
    printf("move %s\n", word);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        check("the card was moved", 0, 0);
}

static void save(const char *kind, int credential, const void *bytes, size_t length)
{
    char name[32];
    snprintf(name, sizeof name, "%s-%d", kind, credential);
    FILE *file = fopen(name, "wb");
    check("a file is made", file && fwrite(bytes, 1, length, file) == length, length);
    if (file)
        fclose(file);
}

static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class)
{
    CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof class };
    CK_OBJECT_HANDLE found[2] = { 0, 0 };
    CK_ULONG count = 99;
    RETURNS(p11->C_FindObjectsInit(session, &template, 1), CKR_OK);
    RETURNS(p11->C_FindObjects(session, found, 2, &count), CKR_OK);
    RETURNS(p11->C_FindObjectsFinal(session), CKR_OK);
    check("one object of a class", count == 1, count);
    return found[0];
}

static void attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE public, int credential)
{
    unsigned char modulus[256 + 4], guard[4] = { 0xee, 0xee, 0xee, 0xee };
    CK_ULONG bits = 0;
    CK_KEY_TYPE type = 99;
    CK_BBOOL private = 9;
    CK_ATTRIBUTE query = { CKA_MODULUS, NULL, 0 };
    CK_ATTRIBUTE several[4] = { { CKA_MODULUS, modulus, 256 },
                                { CKA_MODULUS_BITS, &bits, sizeof bits },
                                { CKA_KEY_TYPE, &type, sizeof type },
                                { CKA_PRIVATE, &private, sizeof private } };

    RETURNS(p11->C_GetAttributeValue(session, public, &query, 1), CKR_OK);
    check("the size of a modulus", query.ulValueLen == 256, query.ulValueLen);
    memset(modulus, 0xee, sizeof modulus);
    RETURNS(p11->C_GetAttributeValue(session, public, several, 4), CKR_OK);
    check("a modulus ends where it should", !memcmp(modulus + 256, guard, 4), 0);
    check("the bits of a modulus", bits == 2048 && several[1].ulValueLen == sizeof bits, bits);
    check("the type of a key", type == CKK_RSA && several[2].ulValueLen == sizeof type, type);
    /* The signature key is private as its certificate is, which tells who the holder is. */
    check("who may see a key", private == (credential ? CK_TRUE : CK_FALSE) && several[3].ulValueLen == 1, private);

    /* What is refused leaves -1, and that is no room. */
    CK_ATTRIBUTE again = { CKA_PRIVATE_EXPONENT, modulus, 256 };
    RETURNS(p11->C_GetAttributeValue(session, key, &again, 1), CKR_ATTRIBUTE_SENSITIVE);
    check("the length after a refusal", again.ulValueLen == (CK_ULONG)-1, again.ulValueLen);
    memset(modulus, 0xee, sizeof modulus);
    again.type = CKA_MODULUS;
    RETURNS(p11->C_GetAttributeValue(session, public, &again, 1), CKR_BUFFER_TOO_SMALL);
    check("nothing is written without room", modulus[0] == 0xee && modulus[255] == 0xee, modulus[0]);
}

static void sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE public, int credential)
{
    unsigned char letter[] = "A letter, to be signed.\n", signature[300];
    CK_ULONG length = sizeof letter - 1, size = 0;
    CK_MECHANISM plain = { CKM_SHA256_RSA_PKCS, NULL, 0 };
    CK_RSA_PKCS_PSS_PARAMS parameter = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
    CK_MECHANISM pss = { CKM_SHA256_RSA_PKCS_PSS, &parameter, sizeof parameter };

    RETURNS(p11->C_SignInit(session, &plain, key), CKR_OK);
    RETURNS(p11->C_Sign(session, letter, length, NULL, &size), CKR_OK);
    check("the size of a signature", size == 256, size);
    size = 255;
    RETURNS(p11->C_Sign(session, letter, length, signature, &size), CKR_BUFFER_TOO_SMALL);
    check("the size after too little room", size == 256, size);
    RETURNS(p11->C_Sign(session, letter, length, signature, &size), CKR_OK);
    save("pkcs1", credential, signature, size);
    RETURNS(p11->C_VerifyInit(session, &plain, public), CKR_OK);
    RETURNS(p11->C_Verify(session, letter, length, signature, size), CKR_OK);
    signature[9] ^= 1;
    RETURNS(p11->C_VerifyInit(session, &plain, public), CKR_OK);
    RETURNS(p11->C_Verify(session, letter, length, signature, size), CKR_SIGNATURE_INVALID);

    RETURNS(p11->C_SignInit(session, &pss, key), CKR_OK);
    size = sizeof signature;
    RETURNS(p11->C_Sign(session, letter, length, signature, &size), CKR_OK);
    save("pss", credential, signature, size);
    parameter.sLen = 20;
    RETURNS(p11->C_SignInit(session, &pss, key), CKR_MECHANISM_PARAM_INVALID);
}

static void use_token(CK_SLOT_ID slot, int credential)
{
    unsigned char *pin = (unsigned char *)(credential ? "ABC123" : "1234");
    unsigned char der[4096];
    CK_SESSION_HANDLE session = 0;
    CK_SESSION_INFO state;
    CK_SLOT_INFO reader;
    CK_TOKEN_INFO token;
    CK_MECHANISM_INFO mechanism;
    CK_MECHANISM_TYPE types[32];
    CK_ULONG count = 32, pin_length = (CK_ULONG)strlen((char *)pin);
    const char *label = credential ? "JPKI Digital Signature " : "JPKI User Authentication ";

    RETURNS(p11->C_GetSlotInfo(slot, &reader), CKR_OK);
    check("a token is present", reader.flags & CKF_TOKEN_PRESENT, reader.flags);
    RETURNS(p11->C_GetTokenInfo(slot, &token), CKR_OK);
    check("the label", !memcmp(token.label, label, strlen(label)), token.label[0]);
    check("the PIN's length", token.ulMaxPinLen == (credential ? 16 : 4), token.ulMaxPinLen);
    check("memory is not told", token.ulTotalPublicMemory == (CK_ULONG)-1, token.ulTotalPublicMemory);
    RETURNS(p11->C_GetMechanismList(slot, types, &count), CKR_OK);
    check("there are mechanisms", count > 5 && count < 32, count);
    RETURNS(p11->C_GetMechanismInfo(slot, CKM_RSA_PKCS, &mechanism), CKR_OK);
    check("the size of keys", mechanism.ulMinKeySize == 2048 && mechanism.ulMaxKeySize == 2048, mechanism.ulMinKeySize);

    RETURNS(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    RETURNS(p11->C_GetSessionInfo(session, &state), CKR_OK);
    check("the session's slot", state.slotID == slot && state.flags == CKF_SERIAL_SESSION, state.slotID);
    check("no user is logged in", state.state == CKS_RO_PUBLIC_SESSION, state.state);
    RETURNS(p11->C_Login(session, CKU_USER, (unsigned char *)"12a", 3), CKR_PIN_INCORRECT);
    RETURNS(p11->C_Login(session, CKU_USER, (unsigned char *)"1", (CK_ULONG)-1), CKR_PIN_INCORRECT);
    RETURNS(p11->C_Login(session, CKU_USER, pin, pin_length), CKR_OK);
    RETURNS(p11->C_GetSessionInfo(session, &state), CKR_OK);
    check("the user is logged in", state.state == CKS_RO_USER_FUNCTIONS, state.state);

    CK_OBJECT_HANDLE key = find(session, CKO_PRIVATE_KEY), public = find(session, CKO_PUBLIC_KEY);
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    unsigned char id = credential ? 2 : 1;
    CK_ATTRIBUTE by_id[2] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
    CK_OBJECT_HANDLE certificate = 0;
    CK_ATTRIBUTE value = { CKA_VALUE, der, sizeof der };
    RETURNS(p11->C_FindObjectsInit(session, by_id, 2), CKR_OK);
    RETURNS(p11->C_FindObjects(session, &certificate, 1, &count), CKR_OK);
    RETURNS(p11->C_FindObjectsFinal(session), CKR_OK);
    RETURNS(p11->C_GetAttributeValue(session, certificate, &value, 1), CKR_OK);
    save("certificate", credential, der, value.ulValueLen);

    attributes(session, key, public, credential);
    sign(session, key, public, credential);
    RETURNS(p11->C_Logout(session), CKR_OK);
    RETURNS(p11->C_CloseSession(session), CKR_OK);
    RETURNS(p11->C_GetSessionInfo(session, &state), CKR_SESSION_HANDLE_INVALID);
}

struct wait {
    CK_RV rv;
    CK_SLOT_ID slot;
};

#ifdef _WIN32
static DWORD WINAPI waiting(void *argument)
#else
static void *waiting(void *argument)
#endif
{
    struct wait *wait = argument;
    wait->rv = p11->C_WaitForSlotEvent(0, &wait->slot, NULL);
    return 0;
}

static thread_t start_wait(struct wait *wait)
{
    thread_t thread;
    wait->rv = CKR_GENERAL_ERROR;
    wait->slot = 99;
#ifdef _WIN32
    thread = CreateThread(NULL, 0, waiting, wait, 0, NULL);
    Sleep(500);
#else
    pthread_create(&thread, NULL, waiting, wait);
#endif
    return thread;
}

static void end_wait(thread_t thread)
{
#ifdef _WIN32
    check("the wait ends", WaitForSingleObject(thread, 15000) == WAIT_OBJECT_0, 0);
    CloseHandle(thread);
#else
    pthread_join(thread, NULL);
#endif
}

/* A card that is pulled and comes back, noticed by a wait and by a session. */
static void removal(CK_SLOT_ID *slots)
{
    CK_SESSION_HANDLE session;
    CK_SESSION_INFO state;
    CK_TOKEN_INFO token;
    CK_SLOT_ID slot;
    struct wait wait;
    thread_t thread;

    while (p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL) == CKR_OK)
        ;
    RETURNS(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    RETURNS(p11->C_Login(session, CKU_USER, (unsigned char *)"1234", 4), CKR_OK);
    thread = start_wait(&wait);
    move_card("remove");
    end_wait(thread);
    check("a wait tells of the removal", wait.rv == CKR_OK && wait.slot == slots[0], wait.rv);
    RETURNS(p11->C_GetTokenInfo(slots[0], &token), CKR_TOKEN_NOT_PRESENT);
    check("the session has ended", p11->C_GetSessionInfo(session, &state) != CKR_OK, 0);
    while (p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL) == CKR_OK)
        ;
    thread = start_wait(&wait);
    move_card("insert");
    end_wait(thread);
    check("a wait tells of the return", wait.rv == CKR_OK, wait.rv);
    RETURNS(p11->C_GetTokenInfo(slots[0], &token), CKR_OK);
    RETURNS(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    RETURNS(p11->C_GetSessionInfo(session, &state), CKR_OK);
    check("the login ended with the card", state.state == CKS_RO_PUBLIC_SESSION, state.state);
    RETURNS(p11->C_Login(session, CKU_USER, (unsigned char *)"1234", 4), CKR_OK);

    /* C_Finalize ends a wait. */
    while (p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL) == CKR_OK)
        ;
    thread = start_wait(&wait);
    RETURNS(p11->C_Finalize(NULL), CKR_OK);
    end_wait(thread);
    check("C_Finalize ends a wait", wait.rv == CKR_CRYPTOKI_NOT_INITIALIZED, wait.rv);
}

static library_t load(const char *path)
{
    library_t library = open_library(path);
    if (!library) {
        printf("FAILED: %s cannot be loaded\n", path);
        exit(1);
    }
    CK_C_GetFunctionList list = (CK_C_GetFunctionList)symbol(library, "C_GetFunctionList");
    RETURNS(list(&p11), CKR_OK);
    return library;
}

/* Begins to use the module, and finds the slots of the two tokens. */
static void begin(CK_SLOT_ID *slots)
{
    CK_C_INITIALIZE_ARGS arguments = { NULL, NULL, NULL, NULL, CKF_OS_LOCKING_OK, NULL };
    CK_INFO info;
    CK_ULONG present = 8;
    RETURNS(p11->C_Initialize(&arguments), CKR_OK);
    RETURNS(p11->C_GetInfo(&info), CKR_OK);
    check("the version of the table", info.cryptokiVersion.major == 2, info.cryptokiVersion.major);
    check("the library's name", !memcmp(info.libraryDescription, "JPKI ", 5), 0);
    RETURNS(p11->C_GetSlotList(CK_TRUE, NULL, &present), CKR_OK);
    check("two tokens", present == 2, present);
    present = 8;
    RETURNS(p11->C_GetSlotList(CK_TRUE, slots, &present), CKR_OK);
}

/* Whether a library is in the process. The dlclose of musl does nothing, as its documents say: there it always is. */
#ifdef _WIN32
static int is_loaded(const char *path)
{
    const char *name = strrchr(path, '\\');
    return GetModuleHandleA(name ? name + 1 : path) != NULL;
}

#define check_unloaded(path) check("the library has gone", !is_loaded(path), 0)

/* How many pages hold a text that are allocated one by one, as the module's pages for secrets are. */
static int pages_with(const char *text)
{
    MEMORY_BASIC_INFORMATION region;
    const char *at = NULL;
    size_t length = strlen(text);
    int found = 0;
    for (; VirtualQuery(at, &region, sizeof region); at = (char *)region.BaseAddress + region.RegionSize) {
        if (region.State != MEM_COMMIT || region.Type != MEM_PRIVATE || region.Protect != PAGE_READWRITE ||
            region.AllocationBase != region.BaseAddress || region.RegionSize != 4096)
            continue;
        const char *page = region.BaseAddress;
        for (size_t i = 0; i + length <= 4096; i++) {
            if (!memcmp(page + i, text, length)) {
                found++;
                break;
            }
        }
    }
    return found;
}

/* A host that unloads the library in the middle of a login: the PIN does not stay in memory. */
static void unload_without_finalizing(const char *path)
{
    CK_SLOT_ID slots[8] = { 99, 99 };
    CK_SESSION_HANDLE session = 0;
    library_t library = load(path);
    begin(slots);
    RETURNS(p11->C_OpenSession(slots[1], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    RETURNS(p11->C_Login(session, CKU_USER, (unsigned char *)"ABC123", 6), CKR_OK);
    CK_OBJECT_HANDLE key = find(session, CKO_PRIVATE_KEY), public = find(session, CKO_PUBLIC_KEY);
    sign(session, key, public, 1);
    check("a page holds the PIN", pages_with("ABC123") > 0, 0);
    check("the library is unloaded in a login", close_library(library), 0);
    check_unloaded(path);
    check("no page holds the PIN", pages_with("ABC123") == 0, pages_with("ABC123"));
}
#else
#define check_unloaded(path) (void)(path)
#endif

int main(int count, char **words)
{
    CK_SLOT_ID slots[8] = { 99, 99 };
    library_t library;
    if (count != 2)
        return 2;

    /* One thread: the library goes when it is unloaded. */
    library = load(words[1]);
    begin(slots);
    use_token(slots[0], 0);
    RETURNS(p11->C_Finalize(NULL), CKR_OK);
    check("the library is unloaded", close_library(library), 0);
    check_unloaded(words[1]);
#ifdef _WIN32
    unload_without_finalizing(words[1]);
#endif

    /* A second thread calls it: the library stays from then on, whatever the host unloads. */
    for (int round = 0; round < 2; round++) {
        library = load(words[1]);
        begin(slots);
        for (int credential = 0; credential < 2; credential++)
            use_token(slots[credential], credential);
        removal(slots);
        check("the library is unloaded", close_library(library), 0);
#ifdef _WIN32
        check("a library that a second thread called stays", is_loaded(words[1]), 0);
#endif
    }
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
