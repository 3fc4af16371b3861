/*
 * Shows what a power cut would leave on the disk, at each sync of a process: for LD_PRELOAD on Linux with glibc.
 * tests/support/power_cut.rs compiles and explains it.
 *
 * A disk may keep nothing that was not synced. So the worst that a power cut can leave is:
 *
 *  - of each file, what it had when its last successful sync began, or nothing if it was never synced;
 *  - of the folder, the names that it had when its own last successful sync began.
 *
 * Whenever fsync or fdatasync has succeeded, this state is written to POWER_CUT_SNAPSHOTS/NUMBER, where NUMBER is that
 * of the sync. The folder `copies` in the same place has the last synced content of each file. Snapshots contain links
 * to these.
 *
 * Standard output says when a sync begins, and when it has ended and there is a snapshot. Each line is one write, so it
 * is in order with the lines of the process itself.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FILES 64

/* A file of the folder. */
struct name {
    char name[NAME_MAX + 1];
    ino_t inode;
};

struct names {
    struct name names[MOST_FILES];
    int count;
};

/* A file that was synced, or is about to be. It stays the same when it is renamed, so its inode tells which it is. */
struct file {
    ino_t inode;
    /* To read from it. */
    int fd;
    /* The number of the copy of what it has on the disk. 0 if it was never synced. */
    int copy;
};

/* One sync at a time, so that the snapshots have an order. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder, *snapshots;
static struct stat folder_status;
static struct names synced_names;
static struct file files[MOST_FILES];
static int file_count, begun, copies;

/* The test fails when this process ends. */
static void fail(const char *what) {
    fprintf(stderr, "power_cut.c: %s: %s\n", what, strerror(errno));
    abort();
}

static void check(int is_ok, const char *what) {
    if (!is_ok) fail(what);
}

/* Begins with a line break, because the test harness prints the beginning of a line. */
static void say(const char *what, int number, const char *name) {
    char line[NAME_MAX + 64];
    int length = snprintf(line, sizeof line, "\n%s %d %s\n", what, number, name);
    /* The test has ended if nobody reads this. */
    if (write(STDOUT_FILENO, line, (size_t)length) != length) exit(1);
}

static void read_names(struct names *names) {
    names->count = 0;
    DIR *entries = opendir(folder);
    check(entries != NULL, "opendir");
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct stat status;
        /* Another thread may remove a file meanwhile. */
        if (fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!S_ISREG(status.st_mode)) continue;
        check(names->count < MOST_FILES, "too many names");
        struct name *name = &names->names[names->count++];
        snprintf(name->name, sizeof name->name, "%s", entry->d_name);
        name->inode = status.st_ino;
    }
    closedir(entries);
}

static struct file *file_of(ino_t inode) {
    for (int i = 0; i < file_count; i++) {
        if (files[i].inode == inode) return &files[i];
    }
    return NULL;
}

/*
 * Adds a file with a descriptor to read from it. That is never closed, for two reasons: closing any descriptor of a
 * file releases the locks that SQLite has on it, and the inode of a file that is open is not given to another file.
 */
static struct file *add_file(int fd, ino_t inode) {
    check(file_count < MOST_FILES, "too many files");
    int flags = fcntl(fd, F_GETFL), readable;
    if ((flags & O_ACCMODE) == O_WRONLY) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        readable = open(path, O_RDONLY | O_CLOEXEC);
    } else {
        readable = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    check(readable >= 0, "a descriptor to read from");
    files[file_count] = (struct file){inode, readable, 0};
    return &files[file_count++];
}

static void copy_path(char *path, int copy) {
    snprintf(path, PATH_MAX, "%s/copies/%d", snapshots, copy);
}

/* Other threads may write to the file meanwhile. A power cut, too, can leave any part of what they write. */
static int copy_content(const struct file *file) {
    static char buffer[1 << 16];
    char path[PATH_MAX];
    int copy = ++copies;
    copy_path(path, copy);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(to >= 0, path);
    off_t at = 0;
    for (ssize_t count; (count = pread(file->fd, buffer, sizeof buffer, at)) != 0; at += count) {
        check(count > 0 && write(to, buffer, (size_t)count) == count, path);
    }
    close(to);
    return copy;
}

/* The copy is on the disk now. The one before stays in the snapshots that have a link to it. */
static void publish(struct file *file, int copy) {
    char path[PATH_MAX];
    copy_path(path, file->copy);
    if (file->copy != 0) check(unlink(path) == 0, path);
    file->copy = copy;
}

static void take_snapshot(int number) {
    char path[PATH_MAX], content[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d", snapshots, number);
    check(mkdir(path, 0700) == 0, path);
    for (int i = 0; i < synced_names.count; i++) {
        const struct name *name = &synced_names.names[i];
        check(snprintf(path, sizeof path, "%s/%d/%s", snapshots, number, name->name) < PATH_MAX, "a long path");
        const struct file *file = file_of(name->inode);
        if (file != NULL && file->copy != 0) {
            copy_path(content, file->copy);
            check(link(content, path) == 0, path);
            continue;
        }
        /* Its name is on the disk, but it was never synced. */
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        check(fd >= 0, path);
        close(fd);
    }
}

/* What a file of the folder is called now. */
static void name_of(ino_t inode, char *found) {
    static struct names names;
    read_names(&names);
    strcpy(found, "-");
    for (int i = 0; i < names.count; i++) {
        if (names.names[i].inode == inode) strcpy(found, names.names[i].name);
    }
}

static int sync_and_show(int fd, int (*sync)(int)) {
    static struct names draft_names;
    struct stat status;
    if (snapshots == NULL || fstat(fd, &status) != 0 || status.st_dev != folder_status.st_dev) return sync(fd);
    int is_folder = status.st_ino == folder_status.st_ino;
    if (!is_folder && !S_ISREG(status.st_mode)) return sync(fd);

    pthread_mutex_lock(&lock);
    int number = ++begun;
    char name[NAME_MAX + 1] = ".";
    if (!is_folder) name_of(status.st_ino, name);
    say("begins", number, name);
    struct file *file = NULL;
    int copy = 0;
    if (is_folder) {
        read_names(&draft_names);
    } else {
        file = file_of(status.st_ino);
        if (file == NULL) file = add_file(fd, status.st_ino);
        copy = copy_content(file);
    }
    int result = sync(fd), error = errno;
    if (result == 0) {
        if (is_folder) {
            synced_names = draft_names;
        } else {
            publish(file, copy);
        }
        take_snapshot(number);
        say("synced", number, name);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int (*real(const char *name))(int) {
    int (*function)(int);
    /* ISO C has no conversion from an object to a function. POSIX does it like this. */
    *(void **)&function = dlsym(RTLD_NEXT, name);
    return function;
}

int fsync(int fd) {
    return sync_and_show(fd, real("fsync"));
}

int fdatasync(int fd) {
    return sync_and_show(fd, real("fdatasync"));
}

/* What is in the folder at the start is on the disk. Snapshot 0 shows it. */
__attribute__((constructor)) static void start(void) {
    char path[PATH_MAX];
    folder = getenv("POWER_CUT_FOLDER");
    snapshots = getenv("POWER_CUT_SNAPSHOTS");
    if (folder == NULL || snapshots == NULL) {
        snapshots = NULL;
        return;
    }
    check(stat(folder, &folder_status) == 0, folder);
    snprintf(path, sizeof path, "%s/copies", snapshots);
    check(mkdir(path, 0700) == 0, path);
    read_names(&synced_names);
    for (int i = 0; i < synced_names.count; i++) {
        check(snprintf(path, sizeof path, "%s/%s", folder, synced_names.names[i].name) < PATH_MAX, "a long path");
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        check(fd >= 0, path);
        struct file *file = add_file(fd, synced_names.names[i].inode);
        close(fd);
        publish(file, copy_content(file));
    }
    take_snapshot(0);
    say("synced", 0, ".");
}
