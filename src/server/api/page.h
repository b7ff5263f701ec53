/* page.h: the page for people at "/". */
#ifndef MOED_SERVER_PAGE_H
#define MOED_SERVER_PAGE_H

struct request;

void page_get(struct request *request);

#endif
